// Commands that a step recorded, to be repeated by later ones: a token's step
// differs from the one before it in values of the host and in positions alone.
import { sameShape } from "../../core/shape.ts";
import type { Segment } from "../../ops/ops.ts";
import {
  type Mark,
  type PatchList,
  type PositionUse,
  type Recording,
  WORDS,
} from "./recording.ts";
import type { BufferRun } from "./step_buffers.ts";
import type { WasmKvStore, WasmTensor } from "./tensors.ts";

/** What a part is recorded for. */
export interface PartContext {
  readonly inputs: readonly WasmTensor[];
  readonly segments: readonly Segment[];
}

/** Commands in a row, all they need beside their inputs being among them. */
export class RecordedPart {
  /** Its tensor, of the step that recorded it. */
  readonly result: WasmTensor;
  private readonly from: Mark;
  private readonly context: PartContext;
  private readonly stores: readonly WasmKvStore[];
  private readonly words: Uint32Array;
  /** Work of the commands whose work is always the same. */
  private readonly fixedCost: number;
  private readonly patches: PatchList;
  private readonly positions: readonly PositionUse[];
  private readonly buffers: BufferRun;
  /** Its last use of each input, and whether that was rounded. */
  private readonly inputLasts: readonly number[];
  private readonly roundedInputs: readonly boolean[];
  /** Whether its result is the product of quantised weights. */
  private readonly rounded: boolean;

  /** What was recorded since a mark. */
  constructor(
    recording: Recording,
    from: Mark,
    context: PartContext,
    stores: readonly WasmKvStore[],
    result: WasmTensor,
  ) {
    this.from = from;
    this.context = context;
    this.stores = stores;
    this.result = result;
    const { words, commands } = recording;
    this.words = words.slice(from.commands * WORDS, commands * WORDS);
    this.patches = recording.patches.since(from.patches);
    this.positions = recording.positions.slice(from.positions);
    this.buffers = recording.buffers.since(from.buffers);
    this.inputLasts = context.inputs.map(({ buffer }) =>
      recording.listOf(buffer).lastOf(buffer)
    );
    this.roundedInputs = context.inputs.map(({ buffer }) => buffer.rounded);
    this.rounded = result.buffer.rounded;
    let moving = 0;
    for (const { segments, index, workAt, command } of this.positions) {
      if (workAt) moving += recording.divide(command, workAt(segments[index]!));
    }
    this.fixedCost = recording.cost - from.cost - moving;
  }

  /**
   * Whether its inputs and the positions are all that a later step can have
   * otherwise: it copies no values of the host, uses no other results, and
   * places no other segments.
   */
  isWhole(recording: Recording): boolean {
    const read = this.context.inputs.map(({ buffer }) => buffer.index);
    return recording.uploads.count === this.from.uploads &&
      this.patches.buffers.every((index) =>
        index >= this.from.buffers || read.includes(index)
      ) &&
      this.positions.every(({ segments }) =>
        segments === this.context.segments
      );
  }

  /** Whether a step has come to the same place with the same inputs. */
  canRepeat(recording: Recording, { inputs, segments }: PartContext): boolean {
    const { from, context } = this;
    return recording.commands === from.commands &&
      recording.buffers.count === from.buffers &&
      recording.uploads.count === from.uploads &&
      recording.patches.count === from.patches &&
      inputs.length === context.inputs.length &&
      inputs.every(({ buffer, offset, shape }, i) => {
        const known = context.inputs[i]!;
        return buffer === known.buffer && offset === known.offset &&
          buffer.rounded === this.roundedInputs[i] &&
          sameShape(shape, known.shape);
      }) &&
      segments.length === context.segments.length &&
      segments.every(({ firstRow, rows }, i) => {
        const known = context.segments[i]!;
        return firstRow === known.firstRow && rows === known.rows;
      }) &&
      this.stores.every(({ taken }) => taken);
  }

  /** Records it again, for segments at other positions. */
  repeat(recording: Recording, segments: readonly Segment[]): void {
    const commands = this.words.length / WORDS;
    recording.reserve(commands);
    recording.words.set(this.words, recording.commands * WORDS);
    for (const { command, word, index, workAt } of this.positions) {
      const segment = segments[index]!;
      recording.words[word] = segment.firstPosition;
      if (workAt) recording.cost += recording.divide(command, workAt(segment));
    }
    recording.commands += commands;
    recording.cost += this.fixedCost;
    recording.patches.addAll(this.patches);
    recording.buffers.addAll(this.buffers);
    this.context.inputs.forEach(({ buffer }, i) =>
      recording.listOf(buffer).use(buffer, this.inputLasts[i]!)
    );
    this.result.buffer.rounded = this.rounded;
  }
}
