// Runs a planned step: on the threads, or here in slices, where the kernels walk
// the queue by themselves until a budget is spent, then the event loop and the
// abort signal get their turn.
import type { Engine } from "./memory.ts";
import type { Pacer } from "./pacer.ts";
import type { PlannedStep } from "./recorder.ts";

/** Time a slice should take. */
const SLICE_MS = 10;
/** Budgets, in the kernels' unit of about a nanosecond. */
const FIRST_BUDGET = 2e6;
/** Costs are guesses: after cheap work a slice must not take on too much dear work. */
const MAX_BUDGET = 3e7;
/** Waking threads and hearing from them costs more than they save on less. */
const MIN_SHARED_COST = 3e5;

/** Runs steps, learning how much work fits into a slice. */
export class Queue {
  private readonly pacer: Pacer;
  private readonly minSharedCost: number;
  private budget = FIRST_BUDGET;

  /** Steps of less work than `minSharedCost` are computed here. */
  constructor(pacer: Pacer, minSharedCost = MIN_SHARED_COST) {
    this.pacer = pacer;
    this.minSharedCost = minSharedCost;
  }

  /** Runs a step that was written to memory; rejects with the signal's reason. */
  async run(
    engine: Engine,
    step: Pick<PlannedStep, "commands" | "cost">,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const { pool, layout } = engine;
    if (pool === undefined || step.cost < this.minSharedCost) {
      return await this.runHere(engine, step, signal);
    }
    await pool.run(layout.activations, step.commands, signal);
  }

  private async runHere(
    { memory, kernels, layout }: Engine,
    { commands }: Pick<PlannedStep, "commands">,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const { cursor, activations } = layout;
    new Uint32Array(memory.buffer, cursor, 2).fill(0);
    let done = 0;
    while (done === 0) {
      signal?.throwIfAborted();
      const started = this.pacer.now();
      done = kernels.execute(activations, commands, cursor, this.budget);
      if (done === 0) this.adapt(this.pacer.now() - started);
      await this.pacer.pause();
    }
    signal?.throwIfAborted();
  }

  private adapt(elapsedMs: number): void {
    const factor = Math.min(2, Math.max(0.25, SLICE_MS / elapsedMs));
    this.budget = Math.min(MAX_BUDGET, Math.ceil(this.budget * factor));
  }
}
