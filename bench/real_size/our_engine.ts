// This library as an engine:
//   our_engine.ts FILE THREADS CONTEXT_LENGTH FAST_PREFILL
import process from "node:process";
import { Gemma3nForCausalLM, hostTensor } from "../../mod.ts";
import {
  type Engine,
  memoryHandlers,
  promptIds,
  serve,
  timed,
} from "./engine_protocol.ts";

const [path, threads, contextLength, fastPrefill] = process.argv.slice(2);

let model: Gemma3nForCausalLM | undefined;
const loading = await timed(async () => {
  model = await Gemma3nForCausalLM.fromPretrained(path!, {
    device: "wasm",
    threads: Number(threads),
    contextLength: Number(contextLength),
    maxBatchSize: 1,
    fastPrefill: fastPrefill !== "false",
  });
});
const engine = createEngine(model!);
await serve({
  load: () => loading,
  prefill: (tokens) => engine.prefill(tokens),
  decode: (tokens) => engine.decode(tokens),
  ...memoryHandlers,
});
await model![Symbol.asyncDispose]();
process.exit(0);

function createEngine(model: Gemma3nForCausalLM): Engine {
  let cache: ReturnType<typeof model.createCache> | undefined;
  let ids = new Int32Array();
  const generate = (maxNewTokens: number) =>
    timed(async () => {
      const { sequences } = await model.generate({
        inputIds: hostTensor("int32", [1, ids.length], ids),
        pastKeyValues: cache,
        maxNewTokens,
        doSample: false,
        eosTokenId: [],
      });
      ids = Int32Array.from(sequences[0]!);
    });
  return {
    prefill(tokens) {
      cache?.dispose();
      cache = model.createCache();
      ids = Int32Array.from(promptIds(tokens));
      return generate(1);
    },
    decode: generate,
  };
}
