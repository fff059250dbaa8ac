// Options that say how to generate, which `run` and `chat` share.
import type { Command } from "commander";

import type { GenerationConfig } from "../../mod.ts";
import {
  collect,
  positiveInteger,
  positiveNumber,
  share,
  wholeNumber,
} from "./options.ts";

/** Options that say how to generate. */
export interface GenerationFlags {
  readonly maxNewTokens: number;
  readonly stop?: string[];
  readonly sample?: boolean;
  readonly temperature?: number;
  readonly topK?: number;
  readonly topP?: number;
  readonly minP?: number;
  readonly repetitionPenalty?: number;
  readonly seed?: number;
}

const DEFAULT_MAX_NEW_TOKENS = 256;

/** Adds the options that say how to generate. */
export function addGenerationOptions(command: Command): Command {
  return command
    .optionsGroup("Answer:")
    .option(
      "-n, --max-new-tokens <count>",
      "most tokens of an answer",
      positiveInteger,
      DEFAULT_MAX_NEW_TOKENS,
    )
    .option("--stop <text>", "ends an answer; may be repeated", collect)
    .option(
      "--repetition-penalty <value>",
      "above 1 avoids repetition",
      positiveNumber,
    )
    .optionsGroup("Sampling:")
    .option("--sample", "sample; implied by the options that follow")
    // After --sample: without that before it, it would make sampling the default.
    .option("--no-sample", "take the likeliest token, whatever the model says")
    .option(
      "--temperature <value>",
      "above 0; higher is more varied",
      positiveNumber,
    )
    .option(
      "--top-k <count>",
      "from the likeliest tokens; 0 for all",
      wholeNumber,
    )
    .option(
      "--top-p <share>",
      "from the likeliest tokens that make up this probability",
      share,
    )
    .option(
      "--min-p <share>",
      "from tokens at least this likely, relative to the likeliest",
      share,
    )
    .option(
      "--seed <number>",
      "the same seed gives the same answer",
      wholeNumber,
    );
}

/** The flags under the names of the library. */
export function generationConfig(flags: GenerationFlags): GenerationConfig {
  const { temperature, topK, topP, minP, seed } = flags;
  const sampling = { temperature, topK, topP, minP, seed };
  const asked = Object.values(sampling).some((value) => value !== undefined);
  return {
    ...sampling,
    doSample: flags.sample ?? (asked ? true : undefined),
    maxNewTokens: flags.maxNewTokens,
    repetitionPenalty: flags.repetitionPenalty,
    stopStrings: flags.stop,
  };
}
