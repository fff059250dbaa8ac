// llama.cpp as an engine, for Node:
//   llama_cpp_engine.ts FILE THREADS CONTEXT_LENGTH
import process from "node:process";
import {
  memoryHandlers,
  promptIds,
  serve,
  timed,
} from "../real_size/engine_protocol.ts";
import { loadPeer, type PeerModel } from "./llama_cpp.ts";

const [path, threads, contextLength] = process.argv.slice(2);

let loaded: PeerModel | undefined;
const loading = await timed(async () => {
  loaded = await loadPeer(path!, {
    threads: Number(threads),
    contextLength: Number(contextLength),
  });
});
const peer = loaded!;
let last = 0;
await serve({
  load: () => loading,
  prefill: (tokens) =>
    timed(async () => {
      await peer.forget();
      last = await peer.evaluate(promptIds(tokens));
    }),
  decode: (tokens) =>
    timed(async () => {
      for (let i = 0; i < tokens; i++) last = await peer.evaluate([last]);
    }),
  ...memoryHandlers,
});
await peer[Symbol.asyncDispose]();
process.exit(0);
