// Moving data.
import type { OpCase, OpSize } from "../op_case.ts";

/** Bytes read and written. */
function moved(elements: number): number {
  return 2 * 4 * elements;
}

function gatherRows(rows: number, width: number): OpSize {
  const index = Int32Array.from({ length: rows }, (_, i) => (i * 7) % rows);
  return {
    inputs: [[rows, width]],
    multiplyAdds: 0,
    bytes: moved(rows * width),
    record: ({ ops, inputs }) => ops.gatherRows(inputs, index),
  };
}

function columns(rows: number, width: number): OpSize {
  const count = width >> 1;
  return {
    inputs: [[rows, width]],
    multiplyAdds: 0,
    bytes: moved(rows * count),
    record: ({ ops, inputs }) => ops.columns(inputs[0]!, 1, count),
  };
}

function concatColumns(rows: number, width: number): OpSize {
  return {
    inputs: [[rows, width], [rows, width]],
    multiplyAdds: 0,
    bytes: moved(2 * rows * width),
    record: ({ ops, inputs }) => ops.concatColumns(inputs),
  };
}

function stack(rows: number, width: number): OpSize {
  return {
    inputs: [[rows, width]],
    multiplyAdds: 0,
    bytes: moved(4 * rows * width),
    record: ({ ops, inputs: [x] }) => ops.stack([x!, x!, x!, x!]),
  };
}

/** Cases that move data. */
export const dataCases: readonly OpCase[] = [
  {
    name: "gatherRows",
    check: gatherRows(13, 7),
    time: gatherRows(512, 2048),
  },
  { name: "columns", check: columns(5, 9), time: columns(512, 2048) },
  {
    name: "concatColumns",
    check: concatColumns(5, 9),
    time: concatColumns(512, 2048),
  },
  { name: "stack", check: stack(5, 9), time: stack(512, 2048) },
];
