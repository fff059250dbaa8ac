// What several threads of the machine can do at most, each with the kernels of
// one thread over a memory of its own.
import {
  compileKernels,
  MODULE_BYTES,
} from "../../src/backends/wasm/kernel_module.ts";
import { createWasmDevice } from "../../src/backends/wasm/device.ts";
import { ggufTensorBytes } from "../../src/io/gguf_header_writer.ts";
import type { Tensor } from "../../src/ops/ops.ts";
import type { Platform } from "../../src/platform/platform.ts";
import { bestOf } from "../harness.ts";
import { RandomValues } from "./random_values.ts";

/** Bytes that no cache holds. */
const READ_BYTES = 192 * 2 ** 20;
const DOT_ROUNDS = 1_000_000;
const DOTS_PER_ROUND = 128;
const TIMES = 6;
/** Calls in a turn: long enough that the system has spread the threads. */
const READS = 6;
const DOTS = 30;
/** A matrix that stays in the cache of one processor, and steps long enough to time. */
const [CACHED_OUTPUTS, CACHED_K, REPEATS] = [256, 2048, 400];

const SOURCE = `
async ({ module, bytes, moduleBytes, gate }, post) => {
  const pages = (moduleBytes + bytes) / 65536;
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
  new Uint8Array(memory.buffer, moduleBytes).fill(1);
  const { exports } = await WebAssembly.instantiate(module, { env: { memory } });
  exports.probe_products();
  post("ready");
  for (let turn = 1;; turn++) {
    Atomics.wait(gate, 0, turn - 1);
    for (let i = 0; i < gate[1]; i++) {
      if (gate[2] === 0) exports.bound_read(moduleBytes, bytes / 4);
      else exports.bound_multiply_bytes(gate[2], 3);
    }
    post("done");
  }
}`;

/** Threads that measure together. */
export interface ThreadBounds {
  /** Bytes that all read from memory in a second. */
  readRate(): Promise<number>;
  /** Multiply-adds of bytes of all in a second. */
  dotRate(): Promise<number>;
  /** Bytes of cached four-bit weights that products of one row take in a second. */
  kernelRate(): Promise<number>;
}

/** Starts the threads. */
export async function startThreadBounds(
  platform: Platform,
  threads: number,
): Promise<ThreadBounds> {
  const module = await compileKernels();
  const gate = new Int32Array(new SharedArrayBuffer(12));
  let waiting = threads;
  let answered = () => {};
  const all = () =>
    new Promise<void>((resolve) => {
      // The threads alone would not keep the process alive.
      const alive = setInterval(() => {}, 1000);
      answered = () => {
        clearInterval(alive);
        resolve();
      };
    });
  const data = { module, bytes: READ_BYTES, moduleBytes: MODULE_BYTES, gate };
  const ready = all();
  for (let i = 0; i < threads; i++) {
    platform.startWorker!(SOURCE, data, {
      onMessage: () => --waiting === 0 && answered(),
      onEnd: (reason) => {
        throw new Error(`A thread ended: ${reason}`);
      },
    });
  }
  await ready;
  const turn = async (calls: number, rounds: number) => {
    waiting = threads;
    const done = all();
    gate.set([calls, rounds], 1);
    Atomics.add(gate, 0, 1);
    Atomics.notify(gate, 0);
    await done;
  };
  return {
    readRate: async () =>
      threads * READS * READ_BYTES / await bestOf(TIMES, () => turn(READS, 0)),
    dotRate: async () =>
      threads * DOTS * DOT_ROUNDS * DOTS_PER_ROUND /
      await bestOf(TIMES, () => turn(DOTS, DOT_ROUNDS)),
    kernelRate: async () => threads * await cachedKernelRate(platform),
  };
}

/** Of one thread. */
async function cachedKernelRate(platform: Platform): Promise<number> {
  const shape = [CACHED_OUTPUTS, CACHED_K];
  const size = ggufTensorBytes({ name: "cached", shape, dtype: "q4_0" });
  const bytes = new Uint8Array(size);
  const spread = { mean: 0, deviation: CACHED_K ** -0.5 };
  new RandomValues(1).fill(bytes, "q4_0", spread);
  await using device = await createWasmDevice({ platform });
  const weight = device.declareWeight({
    name: "cached",
    shape,
    kind: "matrix",
    format: "q4",
  });
  const record = (): Tensor[] => {
    const x = device.upload(new Float32Array(CACHED_K).fill(1), [1, CACHED_K]);
    for (let i = 0; i < REPEATS; i++) device.ops.matmul(x, weight);
    return [];
  };
  device.plan(record);
  await device.allocate();
  await device.writeWeight(weight, {
    firstRow: 0,
    rows: CACHED_OUTPUTS,
    dtype: "q4_0",
    bytes,
  });
  const seconds = await bestOf(TIMES, () => {
    record();
    return device.submit();
  });
  return REPEATS * size / seconds;
}
