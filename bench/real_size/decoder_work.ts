// What the decoder of a file must do at least: bytes it reads for a token, and
// products it forms for a prompt.
import { modelInfo } from "../../mod.ts";
import { numel } from "../../src/core/shape.ts";
import { numKvOwningLayers } from "../../src/models/gemma3n/kv_sharing.ts";
import { decoderShapes } from "./checkpoint_shapes.ts";

/** Work of one decoder. */
export interface DecoderWork {
  /** Bytes of weights in memory, all of which a dense token reads. */
  readonly weightBytes: number;
  /** Multiply-adds with weights of a prompt, with fast prefill. */
  prefillMultiplyAdds(tokens: number): number;
}

/** Reads it from the file's header. */
export async function decoderWork(
  path: string,
  contextLength: number,
): Promise<DecoderWork> {
  const { config, memory } = await modelInfo(path, {
    contextLength,
    maxBatchSize: 1,
  });
  const owning = numKvOwningLayers(config.textConfig);
  let perToken = 0;
  let once = 0;
  for (const [name, shape] of decoderShapes(config, "")) {
    if (shape.length < 2 || name.startsWith("embed_tokens_per_layer")) continue;
    const layer = /^layers\.(\d+)\./.exec(name)?.[1];
    // Shared layers, unembeddings and the head see the last row alone.
    const isOnce = layer === undefined
      ? /embed_tokens\.|unembed/.test(name)
      : Number(layer) >= owning;
    if (isOnce) once += numel(shape);
    else perToken += numel(shape);
  }
  return {
    weightBytes: memory.weights,
    prefillMultiplyAdds: (tokens) => tokens * perToken + once,
  };
}
