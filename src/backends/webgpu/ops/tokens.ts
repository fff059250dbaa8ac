// Choosing tokens on the GPU, in memory that outlives steps.
import { InputError } from "../../../core/errors.ts";
import { formatShape } from "../../../core/shape.ts";
import type { Tensor } from "../../../ops/ops.ts";
import type { TokenOps } from "../../../ops/token_ops.ts";
import { copyColumnsWgsl } from "../kernels/copy_columns.ts";
import { elementGrid, type Recorder } from "../recorder.ts";
import { F32_BYTES, Region } from "../tensors.ts";
import {
  canSample,
  recordArgmax,
  recordSample,
  requireSampling,
} from "./choices.ts";
import { PendingLookup } from "./pending_lookup.ts";

/** Where chosen ids lie: an f32 each, `[slots, rows]`. */
export class TokenMemory {
  rows = 0;
  slots = 0;
  region: Region = new Region(0);
  private readonly queue: GPUQueue;

  constructor(queue: GPUQueue) {
    this.queue = queue;
  }

  /** Makes room. */
  reserve(slots: number, rows: number): void {
    this.slots = slots;
    this.rows = rows;
    this.region = new Region(slots * rows * F32_BYTES);
  }

  /** Writes ids from element `first` on, after what was submitted. */
  write(ids: Int32Array, first: number): void {
    const { memory, offset } = this.region;
    const start = offset + first * F32_BYTES;
    this.queue.writeBuffer(memory!.buffer, start, Float32Array.from(ids));
  }
}

/** Operations on chosen tokens; `requireDeclaring` throws where nothing more can be reserved. */
export function tokenOps(
  r: Recorder,
  memory: TokenMemory,
  requireDeclaring: (action: string) => void,
): TokenOps {
  const first = (op: string, slot: number, rows: number) => {
    requirePlace(op, memory, slot, rows);
    return slot * memory.rows;
  };
  return {
    reserve(slots, rows) {
      requireDeclaring("reserve slots for tokens");
      memory.reserve(slots, rows);
    },
    write(ids, slot) {
      const place = first("write", slot, ids.length);
      r.requireRecording();
      if (!r.planning) memory.write(ids, place);
    },
    argmax(logits, slot) {
      const [rows, vocab] = requireLogits("argmax", logits);
      const to = { region: memory.region, first: first("argmax", slot, rows) };
      recordArgmax(r, { logits: r.own(logits), rows, vocab }, to);
    },
    canSample,
    sample(logits, slot, keys, sampling) {
      const [rows, vocab] = requireLogits("sample", logits);
      requireSampling(keys, rows, sampling);
      const to = { region: memory.region, first: first("sample", slot, rows) };
      recordSample(r, { logits: r.own(logits), rows, vocab }, to, {
        keys,
        sampling,
      });
    },
    embedding(table, slot, rows, scale) {
      const firstChosen = first("embedding", slot, rows);
      const { region: ids } = memory;
      const chosen = { ids, firstChosen };
      const lookup = new PendingLookup(r, table, rows, scale, chosen);
      return r.laterFrom(ids, [rows, table.shape[1]!], lookup);
    },
    chosen(rows) {
      const { slots } = memory;
      first("chosen", 0, rows);
      const out = r.output([slots, rows]);
      r.dispatch({
        code: copyColumnsWgsl,
        reads: [memory.region],
        writes: [out],
        params: [slots, rows, 0, memory.rows, 0, rows],
        workgroups: elementGrid(slots * rows),
      });
      return out;
    },
  };
}

/** Dimensions of logits `[T, V]`. */
function requireLogits(op: string, { shape }: Tensor): [number, number] {
  const [rows, vocab] = shape;
  if (shape.length === 2 && rows! > 0 && vocab! > 0) return [rows!, vocab!];
  throw new InputError(
    `Cannot record "${op}": "logits" has shape ${
      formatShape(shape)
    }, wanted [T,V] with at least one row and one column`,
  );
}

function requirePlace(
  op: string,
  { slots, rows: room }: TokenMemory,
  slot: number,
  rows: number,
): void {
  if (slot >= 0 && slot < slots && rows <= room) return;
  throw new InputError(
    `Cannot record "${op}": slot ${slot} with ${rows} rows lies outside the ` +
      `${slots} slots of ${room} rows; reserve more before the memory is taken`,
  );
}
