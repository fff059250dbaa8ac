// The file of the towers beside a GGUF file: its tensors and its metadata.
import {
  BLOCK_SIZES,
  type CheckpointDtype,
  type ComputeDtype,
  rowsOfWholeBlocks,
} from "../core/dtype.ts";
import { isJsonObject, type Json, type JsonObject } from "../core/json.ts";
import { numel, sameShape, type Shape } from "../core/shape.ts";
import type { Checkpoint } from "../io/checkpoint.ts";
import type { GgufMetadataValue } from "../io/gguf_header_writer.ts";
import {
  TOWER_PARTS,
  TOWERS_ARCHITECTURE,
  TOWERS_JSON,
  TOWERS_SHAPES_KEY,
} from "../io/gguf_towers.ts";
import { fileFormatMetadata } from "./gguf_metadata.ts";
import type { PlannedTensor } from "./gguf_plan.ts";

/** Fewer outputs stay in half precision: devices do not quantise them. */
const MIN_QUANTIZED_OUTPUTS = 8;

/** How a tensor lies in the file. */
export interface TowerLayout {
  readonly dtype: CheckpointDtype;
  /** A matrix, where it lies in blocks; else the tensor's own. */
  readonly shape: Shape;
}

/**
 * How a tensor of the towers is stored. Four bits are too few for them, so `q4`
 * gives them eight.
 *
 * A filter's values lie one after another as a row; where rows are no whole
 * blocks, as few of them as are make a row of the file. Filters of less than a
 * block, depthwise ones above all, stay in half precision.
 *
 * @param shape Outputs first.
 */
export function towerLayout(shape: Shape, dtype: ComputeDtype): TowerLayout {
  if (dtype === "f32" || shape.length < 2) return { dtype: "f32", shape };
  const width = numel(shape.slice(1));
  const joined = rowsOfWholeBlocks("q8_0", width);
  const isQuantized = dtype !== "f16" && width >= BLOCK_SIZES.q8_0.values &&
    shape[0]! >= MIN_QUANTIZED_OUTPUTS && shape[0]! % joined === 0;
  return isQuantized
    ? { dtype: "q8_0", shape: [shape[0]! / joined, width * joined] }
    : { dtype: "f16", shape };
}

/** A tensor of the file, and the shape that it has in the checkpoint. */
export interface PlannedTowerTensor extends PlannedTensor {
  readonly tensorShape: Shape;
}

/**
 * Lists the tensors of the file; none when the checkpoint has no towers.
 *
 * @param prefix In front of the towers' names in the checkpoint.
 */
export function planTowers(
  checkpoint: Checkpoint,
  prefix: string,
  dtype: ComputeDtype,
): PlannedTowerTensor[] {
  return TOWER_PARTS.flatMap((part) =>
    checkpoint.names().filter((name) => name.startsWith(`${prefix}${part}.`))
  ).map((name) => {
    const { shape } = checkpoint.get(name);
    return {
      name: name.slice(prefix.length),
      ...towerLayout(shape, dtype),
      tensorShape: shape,
      parts: [{ kind: "tensor", name }],
    };
  });
}

/** The parsed JSON files of a model by name; one that it has not is `undefined`. */
export type ModelJson = Readonly<Record<string, JsonObject | undefined>>;

/** What a file of towers says of its model. */
export interface TowersModel {
  /** For people. */
  readonly name: string;
  readonly dtype: ComputeDtype;
  readonly json: ModelJson;
  readonly tensors: readonly PlannedTowerTensor[];
}

/** Metadata of the file. */
export function towersMetadata(
  { name, dtype, json, tensors }: TowersModel,
): Map<string, GgufMetadataValue> {
  const metadata = new Map<string, GgufMetadataValue>([
    ["general.architecture", TOWERS_ARCHITECTURE],
    ["general.type", "mmproj"],
    ["general.name", name],
    ...fileFormatMetadata(dtype),
  ]);
  for (const [file, key] of Object.entries(TOWERS_JSON)) {
    const fields = json[file] && towersPart(file, json[file]);
    if (fields !== undefined) metadata.set(key, JSON.stringify(fields));
  }
  const shapes = tensors.filter(({ shape, tensorShape }) =>
    !sameShape(shape, tensorShape)
  ).map(({ name, tensorShape }) => [name, tensorShape]);
  metadata.set(TOWERS_SHAPES_KEY, JSON.stringify(Object.fromEntries(shapes)));
  return metadata;
}

/** What of a JSON file the metadata of the decoder's file do not have. */
function towersPart(file: string, json: JsonObject): JsonObject {
  const keep = (wanted: (key: string, value: Json) => boolean) =>
    Object.fromEntries(
      Object.entries(json).filter(([key, value]) => wanted(key, value)),
    );
  switch (file) {
    case "config.json":
      return keep((key) =>
        /^(vision_config|audio_config|\w+_token_id|\w+_soft_tokens_per_image)$/
          .test(key) && !/^(bos|eos|pad)_/.test(key)
      );
    case "tokenizer_config.json": {
      const extra = json["extra_special_tokens"];
      const tokens = keep((key) => /^(image|audio|[be]o[ia])_token$/.test(key));
      return isJsonObject(extra)
        ? { extra_special_tokens: extra, ...tokens }
        : tokens;
    }
    default:
      return keep((key) => key !== "chat_template");
  }
}
