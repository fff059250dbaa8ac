// Where the parts of a model stand in a checkpoint, and which of its tensors
// nobody uses.
import { CheckpointError } from "../../core/errors.ts";
import { sameShape } from "../../core/shape.ts";
import type { Checkpoint } from "../../io/checkpoint.ts";
import type { Gemma3nConfig, Gemma3nTextConfig } from "./config.ts";
import { numKvOwningLayers } from "./kv_sharing.ts";
import { unusedTextPrefixes } from "./text_weights.ts";

/** Where the parts of a checkpoint are. */
export interface CheckpointNames {
  /** In front of the decoder's names, e.g. `model.language_model.`. */
  readonly text: string;
  /** In front of `vision_tower.`, `embed_vision.` and their like, e.g. `model.`. */
  readonly model: string;
  /** The head's matrix where it is one of its own; `undefined` where it is the token embedding. */
  readonly head: string | undefined;
}

/** Options of {@link checkpointNames}. */
export interface CheckpointNameOptions {
  /** Whether the head is used. Default true. */
  readonly head?: boolean | undefined;
  readonly onWarning?: ((warning: string) => void) | undefined;
}

const EMBEDDING = "embed_tokens.weight";
/**
 * A whole model of Transformers 4.53 and later; the same saved without its
 * head (`Gemma3nModel`); a decoder inside a wrapper, as its language model was
 * before; a decoder with head (`Gemma3nForCausalLM`); and one without
 * (`Gemma3nTextModel`).
 */
const TEXT_PREFIXES = [
  "model.language_model.",
  "language_model.",
  "language_model.model.",
  "model.",
  "",
];
const MODEL_PREFIXES = ["model.", ""];
const HEADS = ["lm_head.weight", "language_model.lm_head.weight"];
/** Parts that a decoder alone does not have. */
const MEDIA_PARTS = [
  "vision_tower.",
  "audio_tower.",
  "embed_vision.",
  "embed_audio.",
];

/**
 * Finds the parts of a checkpoint, in whichever spelling of their names.
 *
 * A head of its own is used where the config unties it, and, as in
 * Transformers, where the file has one with other values than the embedding.
 *
 * @throws {CheckpointError} When there is no token embedding, or a head that
 * must be there is not.
 */
export async function checkpointNames(
  checkpoint: Checkpoint,
  { tieWordEmbeddings }: Gemma3nConfig,
  { head = true, onWarning = () => {} }: CheckpointNameOptions = {},
): Promise<CheckpointNames> {
  const text = TEXT_PREFIXES.find((prefix) =>
    checkpoint.has(prefix + EMBEDDING)
  );
  if (text === undefined) {
    const wanted = TEXT_PREFIXES.map((prefix) => `"${prefix}${EMBEDDING}"`);
    throw new CheckpointError(
      `Cannot find the decoder in the checkpoint: it has none of ${
        wanted.join(", ")
      }`,
      { tensor: TEXT_PREFIXES[0] + EMBEDDING },
    );
  }
  const model =
    MODEL_PREFIXES.find((prefix) =>
      MEDIA_PARTS.some((part) =>
        checkpoint.names().some((name) => name.startsWith(prefix + part))
      )
    ) ?? MODEL_PREFIXES[0]!;
  const own = HEADS.find((name) => checkpoint.has(name));
  if (!head) return { text, model, head: undefined };
  if (!tieWordEmbeddings) return { text, model, head: own ?? HEADS[0] };
  if (
    own === undefined || await sameValues(checkpoint, own, text + EMBEDDING)
  ) return { text, model, head: undefined };
  onWarning(
    `"${own}" differs from "${
      text + EMBEDDING
    }", to which config.json ties it; the head's own values are used`,
  );
  return { text, model, head: own };
}

async function sameValues(
  checkpoint: Checkpoint,
  a: string,
  b: string,
): Promise<boolean> {
  const [first, second] = [checkpoint.get(a), checkpoint.get(b)];
  if (
    first.dtype !== second.dtype || !sameShape(first.shape, second.shape)
  ) return false;
  for await (const { firstRow, rows, bytes } of checkpoint.rowBlocks(a)) {
    const other = await checkpoint.readRows(b, firstRow, rows);
    if (bytes.some((byte, i) => byte !== other[i])) return false;
  }
  return true;
}

/**
 * Tensors that no part of the model uses, except those known to be spare: k
 * and v weights of KV-shared layers, a head that is tied to the embedding or
 * not wanted, and the towers where only the decoder is.
 */
export function unexpectedTensors(
  checkpoint: Checkpoint,
  used: Iterable<string>,
  names: CheckpointNames,
  config: Gemma3nConfig,
): string[] {
  const known = new Set([...used, ...HEADS]);
  const spare = [
    ...spareTextPrefixes(names, config.textConfig),
    ...isDecoderOnly(config)
      ? MEDIA_PARTS.map((part) => names.model + part)
      : [],
  ];
  return checkpoint.names().filter((name) =>
    !known.has(name) && !spare.some((prefix) => name.startsWith(prefix))
  );
}

function spareTextPrefixes(
  { text }: CheckpointNames,
  config: Gemma3nTextConfig,
): string[] {
  return unusedTextPrefixes(config, numKvOwningLayers(config)).map(
    (prefix) => text + prefix,
  );
}

function isDecoderOnly({ visionConfig, audioConfig }: Gemma3nConfig): boolean {
  return visionConfig === undefined && audioConfig === undefined;
}
