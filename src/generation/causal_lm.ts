// What generation needs from a model: sequences that are prefilled, stepped
// and released. Generation names neither a model nor a device; this is the seam.

import type { NoiseKey, TokenSampling } from "../core/random.ts";

/**
 * What a sequence starts from. A model extends it with its own inputs
 * (pictures, audio, a cache to continue); generation passes the object through
 * untouched.
 */
export interface LmPrompt {
  /**
   * The whole sequence so far, `[T]`, without padding and not empty. Where the
   * prompt continues a cache of length n, the model feeds ids n.. only; the
   * earlier ones still count for penalties, lengths and results.
   */
  readonly inputIds: Int32Array;
}

/** A live sequence: the model's handle on what was fed so far. */
export interface LmSequence {
  /** Positions held: every id of the prompt, then every id given to `step()`. */
  readonly length: number;
}

/** One prompt of {@link CausalLm.prefill}. */
export interface PrefillRequest<P extends LmPrompt = LmPrompt> {
  /**
   * The prompt. The same object may come several times in one call, when
   * several continuations are wanted; what it costs to prepare (towers) need
   * then be paid once.
   */
  readonly prompt: P;
  /** Most ids the sequence will ever have, prompt included: room to reserve. */
  readonly maxLength: number;
}

/** One result of {@link CausalLm.prefill}. */
export interface Prefilled<S extends LmSequence = LmSequence> {
  /** The sequence, open until it is released. */
  readonly sequence: S;
  /** Logits after the last prompt id, `[V]`. */
  readonly logits: Float32Array;
}

/** One sequence's part of {@link CausalLm.step}. */
export interface StepInput<S extends LmSequence = LmSequence> {
  /** A sequence that is open. */
  readonly sequence: S;
  /** Ids to append, at least one; more than one only to verify a draft. */
  readonly ids: readonly number[];
}

/** Options of every call that computes. */
export interface LmCallOptions {
  /** Stops the call between slices of work; it rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/** One sequence's part of {@link TokenChooser.choose}. */
export interface ChooseInput<S extends LmSequence = LmSequence> {
  /** A sequence that is open. */
  readonly sequence: S;
  /** The id to append. */
  readonly id: number;
  /** Noise of its samples; `step` is the position of what is chosen. */
  readonly noise: Omit<NoiseKey, "step">;
}

/** Options of {@link TokenChooser.choose}. */
export interface ChooseOptions extends LmCallOptions {
  /** To sample; unless given each id is the likeliest. */
  readonly sampling?: TokenSampling | undefined;
}

/**
 * A model that can choose tokens itself, and so go on for some tokens before
 * generation hears of any. It chooses what `choice.ts` would.
 */
export interface TokenChooser<S extends LmSequence = LmSequence> {
  /** Most ids of one call, at least 1. */
  readonly most: number;
  /** Whether it can sample so. */
  canSample(sampling: TokenSampling): boolean;
  /**
   * Appends an id to each sequence, each at most once in a call, and then all
   * but the last of the ids that it chooses, one after another. Gives what it
   * chose: as many ids for every sequence, at most `count`. None means that it
   * cannot tell what to sample and has appended nothing: `step()` gives the
   * logits. -1 is an id that cannot be chosen, because a logit is NaN or none is
   * above -Infinity; nothing comes after it.
   */
  choose(
    inputs: readonly ChooseInput<S>[],
    count: number,
    options?: ChooseOptions,
  ): Promise<Int32Array[]>;
  /** Takes the last `count` ids of a sequence back, all of which its last call had chosen. */
  takeBack(sequence: S, count: number): void;
}

/**
 * A language model as generation sees it.
 *
 * - Sequences are independent: the rows of one call are a ragged batch, and a
 *   sequence may be in one step and out of the next. Finished ones are
 *   released early, so later steps are smaller.
 * - Calls may come from several generations at once; the model queues them (or
 *   batches them) and never mixes their sequences.
 * - Logits belong to the caller, who may overwrite them, until the next call
 *   with the same sequence; then the model may reuse the array.
 * - A call that rejects for an abort leaves the model usable. Its sequences can
 *   only be released.
 * - Calls yield to the event loop themselves.
 */
export interface CausalLm<
  P extends LmPrompt = LmPrompt,
  S extends LmSequence = LmSequence,
> {
  /** V: entries of a row of logits. */
  readonly vocabSize: number;
  /** Most positions one sequence can have. */
  readonly contextLength: number;
  /** Choosing tokens without generation, where the model has it. */
  readonly chooser?: TokenChooser<S> | undefined;
  /**
   * Starts one sequence per request, in order. All or nothing: when it rejects,
   * nothing stays open.
   *
   * @throws {ContextLengthError} When a sequence or the batch does not fit.
   * @throws {InputError} When a prompt cannot be used, a continued cache
   * already holds all of its ids, or one cache is to be continued twice.
   */
  prefill(
    requests: readonly PrefillRequest<P>[],
    options?: LmCallOptions,
  ): Promise<Prefilled<S>[]>;
  /**
   * Appends ids to sequences, each at most once in a call, and gives the logits
   * after every id: `[ids.length, V]` per input, in order.
   */
  step(
    inputs: readonly StepInput<S>[],
    options?: LmCallOptions,
  ): Promise<Float32Array[]>;
  /**
   * Ends sequences and gives their room back. A cache the caller brought in
   * the prompt stays the caller's and keeps what was fed.
   */
  release(sequences: readonly S[]): void | Promise<void>;
}
