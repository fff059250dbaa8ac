// Rows of a table for ids that the device has chosen: a kernel that wants one row
// looks it up itself.
import type { Shape } from "../../../core/shape.ts";
import type { Weight } from "../../../ops/ops.ts";
import type { Recorder } from "../recorder.ts";
import type { PendingWork, Region, WebGpuTensor } from "../tensors.ts";
import type { WebGpuWeight } from "../weights.ts";
import { lookUp, ownTable } from "./data.ts";

/** Where chosen ids lie: an f32 each, the first one at an element of a memory. */
export interface ChosenIds {
  readonly ids: Region;
  readonly firstChosen: number;
}

/** Rows of a table, one for each id. */
export class PendingLookup implements PendingWork {
  readonly table: WebGpuWeight;
  readonly scale: number;
  readonly chosen: ChosenIds;
  private readonly recorder: Recorder;
  private readonly shape: Shape;

  constructor(
    recorder: Recorder,
    table: Weight,
    rows: number,
    scale: number,
    chosen: ChosenIds,
  ) {
    this.recorder = recorder;
    this.table = ownTable(recorder, table);
    this.shape = [rows, this.table.rowSize];
    this.scale = scale;
    this.chosen = chosen;
  }

  /** Whether a kernel can bind all of the table, and divide its rows into quads. */
  get isPlain(): boolean {
    const { parts, rowSize } = this.table;
    return parts.length === 1 && rowSize % 4 === 0;
  }

  /** Its buffers, where it is plain. */
  get planes(): readonly Region[] {
    return this.table.regions;
  }

  complete(): WebGpuTensor {
    const { recorder: r, table, scale, chosen, shape } = this;
    const out = r.output(shape);
    lookUp(r, table, { ...chosen, out, scale });
    return out;
  }
}
