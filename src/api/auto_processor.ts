import type { ModelSource } from "../hub/source.ts";
import type { Gemma3nProcessor } from "../processing/processor.ts";
import type { SourceOptions } from "./model_options.ts";
export class AutoProcessor { static fromPretrained(_s: ModelSource, _o: SourceOptions): Promise<Gemma3nProcessor> { throw new Error("x"); } }
