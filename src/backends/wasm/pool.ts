// Threads that compute the steps of a device. They share its memory and take
// chunks by themselves; the calling thread starts a step and waits without
// blocking.
import { DeviceError, InputError } from "../../core/errors.ts";
import type { Platform, PlatformWorker } from "../../platform/platform.ts";
import type { KernelExports, ThreadExports } from "./kernel_module.ts";
import { type Layout, STACK_BYTES } from "./memory.ts";
import { type WorkerData, type WorkerMessage, workerSource } from "./worker.ts";

/** Words of the schedule that the host uses, as in rust/kernels/src/schedule.rs. */
const ENDED = 0;
const ABORTED = 1;
/** A worker looks for work for some ten microseconds, longer within a step, then sleeps. */
const SPINS = 4_000;
/** Starting takes a tenth of a second on an idle machine. */
const START_LIMIT_MS = 10_000;
/** How often to look for the end of a step, when the runtime announces it and when not. */
const LOOK_MS = { announced: 500, silent: 1 } as const;
const PROBE: readonly number[] = [0.5, -2, 3, 1024];

/** What a pool is made of. */
export interface PoolOptions {
  readonly platform: Platform;
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  readonly layout: Layout;
  /** The calling thread's own instance. */
  readonly kernels: KernelExports;
  readonly threads: number;
  /** How often a worker looks for work before it sleeps; longer within a step. */
  readonly spins?: number | undefined;
  /** Time for all workers to be ready. */
  readonly startLimitMs?: number | undefined;
}

/** Threads over one memory. */
export class Pool {
  readonly #words: Int32Array;
  readonly #kernels: ThreadExports;
  readonly #address: number;
  readonly #workers: PlatformWorker[] = [];
  /** Why a thread was lost. */
  #lost: string | undefined;
  #rejectLost: (() => void) | undefined;
  #stopped = false;
  #step: Promise<void> | undefined;

  private constructor({ memory, kernels, layout }: PoolOptions) {
    this.#words = new Int32Array(memory.buffer, layout.pool, 2);
    this.#kernels = kernels as ThreadExports;
    this.#address = layout.pool;
  }

  /**
   * Starts the threads and sees whether each computes in the same memory.
   *
   * @throws {DeviceError} When one does not, or not in time.
   */
  static async start(options: PoolOptions): Promise<Pool> {
    const { startLimitMs = START_LIMIT_MS } = options;
    const pool = new Pool(options);
    const late = setTimeout(
      () => pool.#lose(`they were not ready in ${startLimitMs} ms`),
      startLimitMs,
    );
    try {
      await pool.#orLost(pool.#startWorkers(options));
      // A step of no commands: whether they wake, and the end is seen.
      await pool.run(0, 0, undefined);
      return pool;
    } catch (cause) {
      await pool.#terminate();
      const reason = pool.#lost ?? (cause as Error).message;
      throw new DeviceError(
        `Cannot start ${options.threads} threads: ${reason}`,
        { cause },
      );
    } finally {
      clearTimeout(late);
    }
  }

  /**
   * Runs a step that was written to memory; rejects with the signal's reason.
   *
   * @throws {DeviceError} When a thread is lost.
   */
  async run(
    commands: number,
    count: number,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    if (this.#lost !== undefined) throw this.#lostError();
    Atomics.store(this.#words, ABORTED, 0);
    const abort = () => void Atomics.store(this.#words, ABORTED, 1);
    signal?.addEventListener("abort", abort, { once: true });
    try {
      this.#step = this.#orLost(this.#untilEnded(() => {
        this.#kernels.start(this.#address, commands, count);
      }));
      await this.#step;
    } finally {
      this.#step = undefined;
      signal?.removeEventListener("abort", abort);
    }
    if (this.#stopped) {
      throw new InputError("Cannot run a step: the device was disposed");
    }
    signal?.throwIfAborted();
  }

  /** Ends the threads; a step under way stops soon and rejects. */
  async stop(): Promise<void> {
    this.#stopped = true;
    Atomics.store(this.#words, ABORTED, 1);
    await this.#step?.catch(() => undefined); // its caller is told
    this.#kernels.stop(this.#address);
    await this.#terminate();
  }

  async #startWorkers(
    { platform, module, memory, layout, threads, spins = SPINS }: PoolOptions,
  ): Promise<void> {
    const shared = {
      module,
      memory,
      pool: layout.pool,
      workers: threads,
      spins,
    };
    const starts = Array.from({ length: threads }, (_, number) => {
      const probe = layout.stacks + number * STACK_BYTES;
      const stack = probe + STACK_BYTES;
      return this.#startWorker(platform, {
        ...shared,
        number,
        stack,
        probe,
      });
    });
    await Promise.all(starts);
  }

  #startWorker(platform: Platform, data: WorkerData): Promise<void> {
    const probe = new Float32Array(data.memory.buffer, data.probe, 4);
    probe.set(PROBE);
    return new Promise((resolve) => {
      const onMessage = (message: unknown) => {
        const told = message as WorkerMessage;
        if ("error" in told) return this.#lose(told.error);
        if (PROBE.every((x, i) => probe[i] === 3 * x + 1)) return resolve();
        this.#lose(`thread ${data.number} computed [${probe}]`);
      };
      const onEnd = (reason: string) => this.#lose(reason);
      const events = { onMessage, onEnd };
      this.#workers.push(platform.startWorker!(workerSource, data, events));
    });
  }

  /** Starts a step; resolves when it has ended. */
  async #untilEnded(start: () => void): Promise<void> {
    const words = this.#words;
    const seen = Atomics.load(words, ENDED);
    start();
    let timer: ReturnType<typeof setInterval> | undefined;
    try {
      await new Promise<void>((resolve) => {
        const look = () => {
          const over = Atomics.load(words, ENDED) !== seen ||
            this.#lost !== undefined;
          if (over) resolve();
        };
        const announced = Atomics.waitAsync !== undefined;
        // Also keeps the process alive, which neither threads nor waitAsync do.
        timer = setInterval(
          look,
          announced ? LOOK_MS.announced : LOOK_MS.silent,
        );
        if (!announced) return;
        const wait = Atomics.waitAsync(words, ENDED, seen);
        if (wait.async) wait.value.then(look);
        else look();
      });
    } finally {
      clearInterval(timer);
    }
  }

  /** What `wanted` gives; rejects when a thread is lost before. */
  async #orLost<T>(wanted: Promise<T>): Promise<T> {
    const lost = new Promise<never>((_, reject) => {
      this.#rejectLost = () => reject(this.#lostError());
    });
    if (this.#lost !== undefined) this.#rejectLost!();
    try {
      return await Promise.race([wanted, lost]);
    } finally {
      this.#rejectLost = undefined;
    }
  }

  #lose(reason: string): void {
    this.#lost ??= reason;
    Atomics.store(this.#words, ABORTED, 1); // the others need not go on
    this.#rejectLost?.();
  }

  #lostError(): DeviceError {
    return new DeviceError(
      `Cannot go on: a thread of the device was lost: ${this.#lost}; load the ` +
        "model again",
    );
  }

  async #terminate(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.terminate()));
  }
}
