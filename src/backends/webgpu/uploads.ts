// Values of the host that a step reads: all in one buffer that is written once
// a step, each at an offset that a kernel can bind.
import { align, BINDING_ALIGNMENT } from "./flags.ts";
import { type GpuMemory, StepBuffer } from "./tensors.ts";

/** Parameters of a dispatch are padded to this. */
const PARAMS_ALIGNMENT = 16;

/** Part of what the host gives to a step, parameters included. */
export interface UploadedPart {
  /** Where it begins. */
  readonly offset: number;
  readonly contents: Uint8Array;
  readonly buffers: readonly StepBuffer[];
}

/** What the host gives to a step. */
export class Uploads {
  private host = new Uint8Array(16 * BINDING_ALIGNMENT);
  private used = 0;
  private readonly params = new Map<string, Map<string, StepBuffer>>();
  /** What was added, then what earlier steps added after as many: the same objects where they are alike. */
  private readonly known: StepBuffer[] = [];
  private count = 0;
  /** Where it goes; at least {@link bytes} long when a step runs. */
  memory: GpuMemory | undefined;

  /** Bytes so far. */
  get bytes(): number {
    return this.used;
  }

  /** What to write to the memory. */
  get contents(): Uint8Array<ArrayBuffer> {
    return this.host.subarray(0, this.used);
  }

  /** Copies values, unless only their room counts. */
  add(
    values: Float32Array | Int32Array | Uint32Array,
    planning: boolean,
  ): StepBuffer {
    const { byteLength: bytes } = values;
    const offset = this.used;
    this.used += align(Math.max(1, bytes));
    if (!planning) {
      this.grow();
      this.host.set(
        new Uint8Array(values.buffer, values.byteOffset, bytes),
        offset,
      );
    }
    const known = this.known[this.count];
    const buffer = known?.bytes === bytes && known.offset === offset
      ? known
      : new StepBuffer(bytes, -1, offset);
    this.known[this.count++] = buffer;
    return buffer;
  }

  /**
   * Parameters of a kernel, a `u32` each. Equal ones of one kernel lie in one
   * place; not those of different kernels, which may differ in the next step:
   * then all offsets would change, and with them all bind groups.
   */
  addParams(
    code: string,
    params: readonly number[],
    planning: boolean,
  ): StepBuffer {
    let known = this.params.get(code);
    if (!known) this.params.set(code, known = new Map());
    const key = params.join();
    let buffer = known.get(key);
    if (!buffer) {
      const words = PARAMS_ALIGNMENT / Uint32Array.BYTES_PER_ELEMENT;
      const padded = new Uint32Array(Math.ceil(params.length / words) * words);
      padded.set(params);
      buffer = this.add(padded, planning);
      known.set(key, buffer);
    }
    return buffer;
  }

  /** Calls `add`; gives what it added, to be added again. */
  part(add: () => void): UploadedPart {
    const { used: offset, count } = this;
    add();
    return {
      offset,
      contents: this.host.slice(offset, this.used),
      buffers: this.known.slice(count, this.count),
    };
  }

  /** Adds a part again, at the place that it had. */
  repeat({ offset, contents, buffers }: UploadedPart): void {
    this.used = offset + contents.length;
    this.grow();
    this.host.set(contents, offset);
    for (const buffer of buffers) this.known[this.count++] = buffer;
  }

  /** Takes back what was added since there were so many bytes. */
  truncate(bytes: number): void {
    this.used = bytes;
    while (this.count > 0 && this.known[this.count - 1]!.offset >= bytes) {
      this.count--;
    }
    for (const known of this.params.values()) {
      for (const [key, { offset }] of known) {
        if (offset >= bytes) known.delete(key);
      }
    }
  }

  private grow(): void {
    if (this.used <= this.host.length) return;
    const host = new Uint8Array(Math.max(this.used, 2 * this.host.length));
    host.set(this.host);
    this.host = host;
  }
}
