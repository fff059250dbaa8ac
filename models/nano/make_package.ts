// Makes the files that the package @g3n/nano publishes from its checkpoint in
// bfloat16: decoder and towers in eight bits.
//
//   deno task nano [CHECKPOINT]
import { stat } from "node:fs/promises";
import process from "node:process";
import { fileURLToPath } from "node:url";

import { convertToGguf } from "@g3n/core";

import { nano } from "./mod.ts";

/** What JSR takes, less the texts beside the weights. */
const MAX_BYTES = 20 * 2 ** 20 - 1e5;

const HERE = fileURLToPath(new URL(".", import.meta.url));
const [checkpoint = HERE] = process.argv.slice(2);

const { path, bytes, towers } = await convertToGguf(
  checkpoint,
  `${HERE}${nano.gguf}`,
  { dtype: "q8", overwrite: true },
);
if (towers === undefined) {
  throw new Error(`Cannot make the package: ${checkpoint} has no towers`);
}
for (const file of [path, towers.path]) {
  console.log(`${file}: ${((await stat(file)).size / 1e6).toFixed(2)} MB`);
}
if (bytes + towers.bytes > MAX_BYTES) {
  throw new Error(
    `Cannot publish ${bytes + towers.bytes} bytes: at most ${MAX_BYTES} go`,
  );
}
