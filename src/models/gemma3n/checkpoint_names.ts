// Where the parts of a model stand in a checkpoint, and which of its tensors
// nobody uses.
import { CheckpointError } from "../../core/errors.ts";
import type { Checkpoint } from "../../io/checkpoint.ts";
import type { Gemma3nTextConfig } from "./config.ts";
import type { DecoderNames } from "./decoder.ts";
import { numKvOwningLayers } from "./kv_sharing.ts";
import { unusedTextPrefixes } from "./text_weights.ts";

const PROBE = "embed_tokens.weight";
/** `Gemma3nForConditionalGeneration` and `Gemma3nForCausalLM` of Transformers. */
const TEXT_PREFIXES = ["model.language_model.", "model."];

/**
 * Finds the prefix of the decoder's tensors.
 *
 * @throws {CheckpointError} When there is no token embedding under any.
 */
export function decoderNames(checkpoint: Checkpoint): DecoderNames {
  const text = TEXT_PREFIXES.find((prefix) => checkpoint.has(prefix + PROBE));
  if (text === undefined) {
    const wanted = TEXT_PREFIXES.map((prefix) => `"${prefix}${PROBE}"`);
    throw new CheckpointError(
      `Cannot find the decoder in the checkpoint: it has neither ${
        wanted.join(" nor ")
      }`,
      { tensor: TEXT_PREFIXES[0] + PROBE },
    );
  }
  return { text, model: "model." };
}

/**
 * Tensors that no part of the model uses, except those known to be spare: k
 * and v weights of KV-shared layers, and a head that is tied to the embedding.
 */
export function unexpectedTensors(
  checkpoint: Checkpoint,
  used: Iterable<string>,
  names: DecoderNames,
  config: Gemma3nTextConfig,
): string[] {
  const known = new Set(used);
  const spare = unusedTextPrefixes(config, numKvOwningLayers(config)).map(
    (prefix) => names.text + prefix,
  );
  return checkpoint.names().filter((name) =>
    !known.has(name) && name !== "lm_head.weight" &&
    !spare.some((prefix) => name.startsWith(prefix))
  );
}
