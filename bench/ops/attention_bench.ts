// Attention of the text decoder over keys and values of each format, at the
// sizes of Gemma 3n E2B.
import type { CacheDtype } from "../../src/core/dtype.ts";
import type { OpCase, OpSize } from "../op_case.ts";

/** Heads, key-value heads and head width. */
type Heads = readonly [heads: number, kvHeads: number, width: number];

/** Rows that follow `before` others; stores start as zeros. */
interface Place {
  readonly rows: number;
  readonly before: number;
  readonly window?: number;
}

/** Formats, float32 first. */
const FORMATS: readonly CacheDtype[] = ["f32", "f16", "q8"];
/** Bytes of an element, with its share of a scale for a row of E2B. */
const ELEMENT_BYTES: Readonly<Record<CacheDtype, number>> = {
  f32: 4,
  f16: 2,
  q8: 1 + 4 / 256,
};
const E2B: Heads = [8, 2, 256];
const SMALL: Heads = [4, 2, 14];
/** Elements of the stores of a case together: more than caches hold. */
const STORED_ELEMENTS = 2 ** 26;

function attention(
  { rows, before, window }: Place,
  [heads, kvHeads, width]: Heads,
  dtype: CacheDtype,
  stores = 1,
): OpSize {
  const segments = [{ firstRow: 0, rows, firstPosition: before }];
  let pairs = 0;
  for (let row = 0; row < rows; row++) {
    pairs += Math.min(before + row + 1, window ?? Infinity);
  }
  const seen = Math.min(before + rows, (window ?? Infinity) + rows - 1);
  return {
    inputs: [[rows, heads, width], [rows, kvHeads, width]],
    kv: { capacity: before + rows, kvHeads, headDim: width, dtype },
    stores,
    multiplyAdds: 2 * pairs * heads * width,
    bytes: ELEMENT_BYTES[dtype] * 2 * seen * kvHeads * width,
    record({ ops, inputs: [q, k], store }) {
      ops.appendKv([store], segments, k!, k!);
      const options = { heads, window, scale: 1 };
      return ops.attention(q!, [store], segments, options);
    },
  };
}

/** What is timed, by its name, and small cases to check it with. */
const PLACES: readonly (readonly [string, Place, Place])[] = [
  ["1 row of 512", { rows: 1, before: 511 }, { rows: 1, before: 0 }],
  ["1 row of 4096", { rows: 1, before: 4095 }, { rows: 1, before: 0 }],
  [
    "512 rows, window 512",
    { rows: 512, before: 0, window: 512 },
    { rows: 37, before: 0, window: 20 },
  ],
];

function caseName(place: string, dtype: CacheDtype): string {
  return `attention ${dtype}, ${place}`;
}

/** Cases of attention. */
export const attentionCases: readonly OpCase[] = PLACES.flatMap((
  [name, time, check],
) =>
  FORMATS.map((dtype): OpCase => {
    const elements = 2 * (time.before + time.rows) * E2B[1] * E2B[2];
    const stores = Math.ceil(STORED_ELEMENTS / elements);
    return {
      name: caseName(name, dtype),
      check: attention(check, SMALL, dtype),
      time: attention(time, E2B, dtype, time.rows === 1 ? stores : 1),
      ...dtype === "q8" ? { kinds: ["wasm", "reference"] } : {},
    };
  })
);

/** Prints how much faster the formats are than float32. */
export function reportAttention(seconds: ReadonlyMap<string, number>): void {
  for (const [place] of PLACES) {
    const [float, ...others] = FORMATS.map((dtype) =>
      seconds.get(caseName(place, dtype))
    );
    if (float === undefined) continue;
    const ratios = others.flatMap((time, i) =>
      time === undefined
        ? []
        : [`${FORMATS[i + 1]} ${(float / time).toFixed(2)} x`]
    );
    console.log(
      `attention, ${place}, times as fast as f32: ${ratios.join(", ")}`,
    );
  }
}
