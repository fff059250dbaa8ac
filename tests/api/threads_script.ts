// Started by threads_test.ts: uses a model on two threads, and never disposes it.
import process from "node:process";
import { hostTensor } from "../../src/core/tensor.ts";
import { loadTiny } from "../model.ts";

const PROMPT_TOKENS = 600;

const model = await loadTiny("wasm", { threads: 2 });
const ids = Int32Array.from({ length: PROMPT_TOKENS }, (_, i) => 10 + i % 1900);
const inputIds = hostTensor("int32", [1, PROMPT_TOKENS], ids);
await model.generate({ inputIds, maxNewTokens: 2 });
const unfinished = model.generate({ inputIds, maxNewTokens: 300 });
unfinished.catch(() => {});
await new Promise<void>((resolve) =>
  process.stdout.write("done\n", () => resolve())
);
if (process.argv[2] === "error") throw new Error("in the middle of a step");
await unfinished;
process.stdout.write("done\n");
