// What a worker of the pool does. It is source text: it must start alike from a
// package, a bundle and an address, which give it no file, and compilers add
// calls to functions that only they have.

/** What a worker is given. */
export interface WorkerData {
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  /** Address of the schedule. */
  readonly pool: number;
  readonly number: number;
  /** How many workers there are. */
  readonly workers: number;
  /** End of the worker's stack, which grows down. */
  readonly stack: number;
  /** Address of four f32 to show that it computes. */
  readonly probe: number;
  /** How often it looks for work before it sleeps; longer within a step. */
  readonly spins: number;
}

/** What a worker says: that it computed its probe, or why it failed. */
export type WorkerMessage = { readonly ready: true } | {
  readonly error: string;
};

/** What `Platform.startWorker` runs: posts a {@link WorkerMessage}. */
export const workerSource = `
async ({ module, memory, pool, number, workers, stack, probe, spins }, post) => {
  try {
    const { exports } = await WebAssembly.instantiate(module, { env: { memory } });
    exports.__stack_pointer.value = stack;
    exports.probe(probe);
    post({ ready: true });
    exports.work(pool, number, workers, spins);
  } catch (error) {
    post({ error: String(error) });
  }
}`;
