// The sequences of a generation that have not ended, and where their next tokens
// come from: logits, from which the host chooses, or ids that the model has
// chosen ahead.
import type { CausalLm, LmPrompt, LmSequence } from "./causal_lm.ts";
import type { Continuation, GeneratedToken } from "./continuation.ts";
import type { modelChoice } from "./logits_processor.ts";
import { Pace } from "./pace.ts";
import { SamplingPlace } from "./sampling_place.ts";

/** Longest stretch of choosing before other work of the event loop gets a turn. */
const YIELD_AFTER_MS = 16;

/** A sequence after its prefill. */
export interface Started<P extends LmPrompt, S extends LmSequence> {
  readonly sequence: S;
  /** Logits after the last id it holds, `[V]`. */
  readonly logits: Float32Array;
  readonly continuation: Continuation<P>;
}

/** A sequence that has not ended. */
interface Live<P extends LmPrompt, S extends LmSequence> {
  readonly sequence: S;
  readonly continuation: Continuation<P>;
  /** Logits after its last token, when the host is to choose. */
  logits: Float32Array | undefined;
  /** Ids that the model has chosen, not yet taken. */
  ahead: Int32Array;
}

const NONE = new Int32Array(0);

/** Steps sequences until all have ended. */
export class LiveBatch<P extends LmPrompt, S extends LmSequence> {
  readonly #lm: CausalLm<P, S>;
  readonly #choice: ReturnType<typeof modelChoice>;
  readonly #pace = new Pace();
  readonly #place = new SamplingPlace();
  #live: Live<P, S>[];

  /** Goes on from where sequences were started; `choice` is how the model may choose, if it may. */
  constructor(
    lm: CausalLm<P, S>,
    started: readonly Started<P, S>[],
    choice: ReturnType<typeof modelChoice>,
  ) {
    this.#lm = lm;
    this.#choice = choice;
    this.#live = started.map((one) => ({ ...one, ahead: NONE }));
  }

  /** Whether all have ended and were released. */
  get isEmpty(): boolean {
    return this.#live.length === 0;
  }

  /** The next token of every sequence; those that end with it are still open. */
  async nextTokens(signal: AbortSignal | undefined): Promise<GeneratedToken[]> {
    const isReady = this.#live.every(({ logits, ahead }) =>
      logits !== undefined || ahead.length > 0
    );
    const fromHost = !isReady && !(await this.#chooseAhead(signal));
    const started = performance.now();
    if (fromHost) await this.#step(signal);
    const tokens: GeneratedToken[] = [];
    let turnStart = performance.now();
    for (const live of this.#live) {
      if (performance.now() - turnStart > YIELD_AFTER_MS) {
        await new Promise((resolve) => setTimeout(resolve, 0));
        turnStart = performance.now();
      }
      signal?.throwIfAborted();
      tokens.push(take(live));
    }
    if (fromHost) this.#place.hostTook(performance.now() - started);
    return tokens;
  }

  /** Releases the sequences that have ended. */
  async releaseEnded(): Promise<void> {
    const hasEnded = ({ continuation }: Live<P, S>) =>
      continuation.tokens.at(-1)?.finishReason !== undefined;
    const ended = this.#live.filter(hasEnded);
    this.#live = this.#live.filter((live) => !hasEnded(live));
    if (ended.length > 0) this.#place.forget();
    await this.#release(ended);
  }

  /** Releases every sequence. */
  async releaseAll(): Promise<void> {
    const all = this.#live;
    this.#live = [];
    await this.#release(all);
  }

  async #release(ended: readonly Live<P, S>[]): Promise<void> {
    if (ended.length === 0) return;
    // A caller's cache must hold what it would if tokens had come singly.
    for (const { sequence, ahead } of ended) {
      if (ahead.length > 0) this.#lm.chooser!.takeBack(sequence, ahead.length);
    }
    await this.#lm.release(ended.map(({ sequence }) => sequence));
  }

  async #step(signal: AbortSignal | undefined): Promise<void> {
    const logits = await this.#lm.step(
      this.#live.map(({ sequence, continuation }) => ({
        sequence,
        ids: [continuation.tokens.at(-1)!.id],
      })),
      { signal },
    );
    this.#live.forEach((one, i) => one.logits = logits[i]!);
  }

  /** Lets the model choose some tokens; `false` where the host is to. */
  async #chooseAhead(signal: AbortSignal | undefined): Promise<boolean> {
    const { chooser } = this.#lm;
    if (!chooser || !this.#choice) return false;
    const { sampling } = this.#choice;
    if (sampling && (this.#place.isHost || !chooser.canSample(sampling))) {
      return false;
    }
    const live = this.#live;
    const remaining = live.map(({ continuation }) => continuation.remaining);
    const count = this.#pace.count(Math.min(chooser.most, ...remaining));
    const inputs = live.map(({ sequence, continuation }) => ({
      sequence,
      id: continuation.tokens.at(-1)!.id,
      noise: continuation.noise,
    }));
    const started = performance.now();
    const chosen = await this.#pace.time(
      () => chooser.choose(inputs, count, { sampling, signal }),
    );
    const given = chosen[0]!.length;
    this.#place.modelTook(count, given, performance.now() - started);
    live.forEach((one, i) => one.ahead = chosen[i]!);
    return given > 0;
  }
}

/** The next token of a sequence that has logits or ids ahead. */
function take(live: Live<LmPrompt, LmSequence>): GeneratedToken {
  const { continuation, logits, ahead } = live;
  if (logits) {
    live.logits = undefined;
    return continuation.advance(logits);
  }
  live.ahead = ahead.subarray(1);
  return continuation.accept(ahead[0]!);
}
