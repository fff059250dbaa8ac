// Writes a made-up checkpoint in bfloat16: config.json and model.safetensors.
import { truncateSync } from "node:fs";
import type { JsonObject } from "../../src/core/json.ts";
import { numel, type Shape } from "../../src/core/shape.ts";
import type { Platform } from "../../src/platform/platform.ts";
import { RandomValues, type Spread } from "./random_values.ts";

const CHUNK_BYTES = 2 ** 23;

/** What to write. */
export interface MadeUpCheckpoint {
  readonly config: JsonObject;
  /** Shapes by name. */
  readonly shapes: ReadonlyMap<string, Shape>;
  /** A tensor that takes no room on the disk: zeros at the end of the file. */
  readonly hole?: string | undefined;
}

/** Writes both files into a folder, unless they are there. */
export async function writeCheckpoint(
  platform: Platform,
  folder: string,
  { config, shapes: unordered, hole }: MadeUpCheckpoint,
): Promise<void> {
  const path = `${folder}/model.safetensors`;
  if (await platform.stat(path) === "file") return;
  const last = [...unordered].filter(([name]) => name === hole);
  const written = [...unordered].filter(([name]) => name !== hole);
  const start = header([...written, ...last]);
  const json = await platform.createFile!(`${folder}/config.json`);
  await json.write(new TextEncoder().encode(JSON.stringify(config)));
  await json.finish();
  const file = await platform.createFile!(path);
  await file.write(start);
  const chunk = new Uint8Array(CHUNK_BYTES);
  const random = new RandomValues(1);
  let size = start.length;
  for (const [, shape] of written) {
    const all = 2 * numel(shape);
    for (let done = 0; done < all; done += CHUNK_BYTES) {
      const bytes = chunk.subarray(0, Math.min(CHUNK_BYTES, all - done));
      random.fill(bytes, "bf16", spreadOf(shape));
      await file.write(bytes);
    }
    size += all;
  }
  await file.finish();
  for (const [, shape] of last) truncateSync(path, size += 2 * numel(shape));
}

/** Ones for norms; filters and matrices spread by what each output sums. */
function spreadOf(shape: Shape): Spread {
  return shape.length === 1
    ? { mean: 1, deviation: 0.1 }
    : { mean: 0, deviation: (numel(shape) / shape[0]!) ** -0.5 };
}

function header(shapes: readonly (readonly [string, Shape])[]): Uint8Array {
  const tensors: Record<string, JsonObject> = {};
  let offset = 0;
  for (const [name, shape] of shapes) {
    const end = offset + 2 * numel(shape);
    tensors[name] = { dtype: "BF16", shape, data_offsets: [offset, end] };
    offset = end;
  }
  const text = JSON.stringify(tensors);
  const padded = text.padEnd(Math.ceil(text.length / 8) * 8);
  const bytes = new Uint8Array(8 + padded.length);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(padded.length), true);
  bytes.set(new TextEncoder().encode(padded), 8);
  return bytes;
}
