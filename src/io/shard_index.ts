// model.safetensors.index.json: which shard holds which tensor.
import { CheckpointError } from "../core/errors.ts";
import { isJsonObject, parseUniqueJsonObject } from "../core/json.ts";

/** Name of the index file. */
export const INDEX_NAME = "model.safetensors.index.json";

/** What the index says. */
export interface ShardIndex {
  /** Names of the tensors in each shard, by file name. */
  readonly shards: ReadonlyMap<string, readonly string[]>;
  /** Bytes of all tensors together, when given. */
  readonly totalSize: number | undefined;
}

/**
 * Parses the text of the index file.
 *
 * @throws {CheckpointError} When it is not such an index.
 */
export function readShardIndex(text: string): ShardIndex {
  const json = parseUniqueJsonObject(text, INDEX_NAME);
  const weightMap = json["weight_map"];
  if (!isJsonObject(weightMap) || Object.keys(weightMap).length === 0) {
    throw new CheckpointError(
      `Cannot read "${INDEX_NAME}": "weight_map" must map tensor names to file names`,
      { file: INDEX_NAME },
    );
  }
  const shards = new Map<string, string[]>();
  for (const [tensor, file] of Object.entries(weightMap)) {
    if (typeof file !== "string") {
      throw new CheckpointError(
        `Cannot read "${INDEX_NAME}": the file of tensor "${tensor}" is ${
          JSON.stringify(file)
        }, it must be a string`,
        { tensor, file: INDEX_NAME },
      );
    }
    const names = shards.get(file);
    if (names === undefined) shards.set(file, [tensor]);
    else names.push(tensor);
  }
  return { shards, totalSize: readTotalSize(json["metadata"]) };
}

function readTotalSize(metadata: unknown): number | undefined {
  const size = isJsonObject(metadata) ? metadata["total_size"] : undefined;
  if (size === undefined) return undefined;
  // Some writers store it as a float such as 10.0, which JSON.parse equates.
  if (typeof size !== "number" || !Number.isSafeInteger(size) || size < 0) {
    throw new CheckpointError(
      `Cannot read "${INDEX_NAME}": its total_size ${
        JSON.stringify(size)
      } must be a number of bytes`,
      { file: INDEX_NAME },
    );
  }
  return size;
}
