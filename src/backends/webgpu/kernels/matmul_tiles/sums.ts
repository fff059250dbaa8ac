// The sums of a thread of a tile, in variables: of floats and of bytes alike.
import { range } from "./tile.ts";

/** Rows and outputs of a workgroup, and of each of its threads. */
interface SumsTile {
  readonly rows: number;
  readonly outputs: number;
  readonly threadRows: number;
  readonly threadOutputs: number;
}

/** A line for each sum of a thread. */
export function forSums(
  { threadRows, threadOutputs }: SumsTile,
  line: (i: number, j: number) => string,
): string {
  return range(threadRows).flatMap((i) =>
    range(threadOutputs).map((j) => line(i, j))
  ).join("\n");
}

/** Stores the sums of a thread that exist. */
export function writeSums(tile: SumsTile): string {
  const { rows, outputs, threadRows, threadOutputs } = tile;
  return range(threadRows).map((i) =>
    `  {
    let row = rowBase + ty + ${i * rows / threadRows}u;
    if (row < params.rows) {
      let first = (group.z * params.rows + row) * params.outputs + params.first;
${
      range(threadOutputs).map((j) =>
        `      {
        let output = outputBase + tx + ${j * outputs / threadOutputs}u;
        if (output < params.part) { store(first + output, sum${i}_${j}); }
      }`
      ).join("\n")
    }
    }
  }`
  ).join("\n");
}
