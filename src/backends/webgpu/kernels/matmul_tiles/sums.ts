// The sums of a thread of a tile, in variables: of floats and of bytes alike.
import { range, type TileSizes } from "./tile.ts";

/** A line for each sum of a thread. */
export function forSums(
  { threadRows, threadOutputs }: TileSizes,
  line: (i: number, j: number) => string,
): string {
  return range(threadRows).flatMap((i) =>
    range(threadOutputs).map((j) => line(i, j))
  ).join("\n");
}

/** Stores the sums of a thread that exist. */
export function writeSums(tile: TileSizes): string {
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
