// Linear maps: matmul for one row and for many, embedding.
import type { OpCase, OpSize } from "../op_case.ts";

function matmul(rows: number, k: number, outputs: number, weights = 1): OpSize {
  return {
    inputs: [[rows, k]],
    weight: { kind: "matrix", shape: [outputs, k] },
    weights,
    multiplyAdds: rows * k * outputs,
    record: ({ ops, inputs, weight }) => ops.matmul(inputs[0]!, weight),
  };
}

function embedding(ids: number, width: number, rows: number): OpSize {
  const index = Int32Array.from({ length: ids }, (_, i) => (i * 7919) % rows);
  return {
    inputs: [],
    weight: { kind: "matrix", shape: [rows, width] },
    multiplyAdds: ids * width,
    bytes: 4 * 2 * ids * width,
    record: ({ ops, weight }) => ops.embedding(weight, index, 2),
  };
}

/** Cases of linear maps. */
export const linearCases: readonly OpCase[] = [
  {
    name: "matmul, 1 row",
    check: matmul(1, 300, 77),
    time: matmul(1, 2048, 8192, 4),
  },
  {
    name: "matmul, 4 rows",
    check: matmul(4, 300, 77),
    time: matmul(4, 2048, 8192, 4),
  },
  {
    name: "matmul, 128 rows",
    check: matmul(70, 300, 77),
    time: matmul(128, 2048, 2048),
  },
  {
    name: "embedding, 512 ids",
    check: embedding(9, 33, 50),
    time: embedding(512, 2048, 16384),
  },
];
