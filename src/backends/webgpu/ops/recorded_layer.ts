// A decoder layer as a step recorded it. The next token's step differs in its
// parameters alone: recording it anew takes the host a third of a token's time.
import type { RecordedPart, Recorder } from "../recorder.ts";
import type { StepBuffer, WebGpuKvStore, WebGpuTensor } from "../tensors.ts";

/** How attention divides the keys that are seen. */
export interface KeyDivision {
  /** Keys of a tile. */
  readonly tileKeys: number;
  /** Workgroups that the tiles are divided among. */
  readonly splits: number;
}

/** The dispatch that has the position among its parameters: attention. */
const ATTEND = 1;

/** The parameters of that dispatch. */
export function attendParams(
  { capacity, valueVectors }: WebGpuKvStore,
  position: number,
): readonly number[] {
  return [position, capacity, valueVectors];
}

/** The dispatches of a layer, and what they are for. */
export class RecordedLayer {
  private readonly part: RecordedPart;
  private readonly inputs: readonly WebGpuTensor[];
  private readonly store: WebGpuKvStore;
  private readonly division: KeyDivision;
  /** What the layer leaves. */
  private readonly left: StepBuffer;

  constructor(
    part: RecordedPart,
    inputs: readonly WebGpuTensor[],
    store: WebGpuKvStore,
    division: KeyDivision,
    left: StepBuffer,
  ) {
    this.part = part;
    this.inputs = inputs;
    this.store = store;
    this.division = division;
    this.left = left;
  }

  /** Whether the layer of a step is this one, but for the position. */
  isOf(
    r: Recorder,
    inputs: readonly WebGpuTensor[],
    store: WebGpuKvStore,
    { tileKeys, splits }: KeyDivision,
  ): boolean {
    return r.canRepeat(this.part) && store === this.store &&
      tileKeys === this.division.tileKeys &&
      splits === this.division.splits && inputs.length === this.inputs.length &&
      inputs.every(({ buffer, offset }, i) => {
        const known = this.inputs[i]!;
        return buffer === known.buffer && offset === known.offset;
      });
  }

  /** Records it again. */
  repeat(r: Recorder, position: number): StepBuffer {
    const attend = attendParams(this.store, position);
    r.repeat(
      this.part,
      ({ params }, i) => i === ATTEND ? attend : params!,
    );
    return this.left;
  }
}
