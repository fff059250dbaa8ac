// What a lane does with whole groups of 32 elements: with floats, or with bytes of
// which a GPU multiplies and adds four at once.
//
// Floats: elements of the weights become floats without a conversion, of which a
// GPU does few at a time. Bits moved into the fraction of 1.0 give 1 + q / 16 (q4)
// or 1 + q / 256 (q8); all q are unsigned, the middle of their range is 1.5, and
// what that adds is subtracted for the group as a whole.
//
// Bytes: the vector is rounded to integers of -127 to 127, with a scale for each
// group, as the kernels of CPUs do. The code is shorter, which counts more than
// its speed: a GPU fetches the kernels of a layer anew for each layer once
// all of them are larger than its cache of instructions.
import { BLOCK_SIZES, type WeightFormat } from "../../../../core/dtype.ts";
import { ROUNDING_FUNCTIONS } from "../rounding.ts";
import { range } from "./layer_shape.ts";

/** Elements that share a scale. */
export const GROUP = BLOCK_SIZES.q8_0.values;
/** Quads of a group. */
export const QUADS = GROUP / 4;

/** Where a lane finds its groups of the vector, as WGSL. */
export type VectorSource =
  /** As floats, quad `j` of `group`. */
  | { readonly quad: (group: string, j: number) => string }
  /** As four bytes, and the group's scale with what q4 subtracts for its zero. */
  | {
    readonly word: (group: string, j: number) => string;
    readonly scale: (group: string) => string;
  };

/** How lanes multiply groups. */
export interface GroupDots {
  /** Lines that load group `group` of the vector as variables that begin with `at`; none of it where not `exists`. */
  load(
    at: string,
    source: VectorSource,
    group: string,
    exists: string | undefined,
  ): string;
  /**
   * The product with a group of a row.
   *
   * @param words Vectors of four words, as the weights lie.
   * @param scale The scale, f32.
   */
  product(
    at: string,
    format: WeightFormat,
    words: readonly string[],
    scale: string,
  ): string;
}

/** With floats. */
export const FLOAT_DOTS: GroupDots = {
  load(at, source, group, exists) {
    if (!("quad" in source)) throw new TypeError("Wanted quads of floats");
    const quads = range(QUADS).map((j) =>
      `  let ${at}_${j} = ${only(exists, source.quad(group, j), "vec4f()")};`
    );
    const sum = range(QUADS).map((j) => `${at}_${j}`).join(" + ");
    return `${quads.join("\n")}
  let ${at}_t = 1.5 * dot(${sum}, vec4f(1.0));`;
  },
  product(at, format, words, scale) {
    const unit = format === "q4" ? "16.0" : "256.0";
    const dots = eachWord(words).flatMap((word, i) =>
      format === "q4"
        ? [
          `dot(${at}_${i}, ${lowBits(word)})`,
          `dot(${at}_${4 + i}, ${highBits(word)})`,
        ]
        : [`dot(${at}_${i}, ${byteBits(word)})`]
    );
    return `${unit} * ${scale} * (${dots.join(" + ")} - ${at}_t)`;
  },
};

/** With bytes. */
export const BYTE_DOTS: GroupDots = {
  load(at, source, group, exists) {
    if ("quad" in source) return packGroup(at, source.quad, group, exists);
    const words = range(QUADS).map((j) =>
      `  let ${at}_${j} = ${source.word(group, j)};`
    );
    return `${words.join("\n")}
  let ${at}_s = ${only(exists, source.scale(group), "vec2f()")};`;
  },
  product(at, format, words, scale) {
    const dots = eachWord(words).flatMap((word, i) =>
      format === "q4"
        ? [
          `dot4I8Packed(${at}_${i}, ${word} & 0x0f0f0f0fu)`,
          `dot4I8Packed(${at}_${4 + i}, (${word} >> 4u) & 0x0f0f0f0fu)`,
        ]
        : [`dot4I8Packed(${at}_${i}, ${word})`]
    );
    const zero = format === "q4" ? ` - ${at}_s.y` : "";
    return `${scale} * (${at}_s.x * f32(${dots.join(" + ")})${zero})`;
  },
};

/** Rounds a lane's own group. */
function packGroup(
  at: string,
  quad: (group: string, j: number) => string,
  group: string,
  exists: string | undefined,
): string {
  const all = range(QUADS);
  const most = all.map((j) => `magnitudesOf(${at}q${j})`)
    .reduce((most, next) => `max(${most}, ${next})`);
  return `${
    all.map((j) =>
      `  let ${at}q${j} = ${only(exists, quad(group, j), "vec4f()")};`
    ).join("\n")
  }
  let ${at}r = roundingOf(largestOf(${most}));
${
    all.map((j) => `  let ${at}_${j} = bytesOf(${at}q${j}, ${at}r.x);`)
      .join("\n")
  }
  let ${at}_s = scaleOf(${at}r.y, ${
    all.map((j) => `unitsOf(${at}_${j})`).join(" + ")
  });`;
}

/** Functions that lanes call to round their groups, beside those of rounding.ts. */
export const GROUP_FUNCTIONS = `${ROUNDING_FUNCTIONS}
fn unitsOf(word: u32) -> i32 { return dot4I8Packed(word, 0x01010101u); }
/** The scale, and what q4 subtracts for its zero of 8. */
fn scaleOf(scale: f32, units: i32) -> vec2f {
  return vec2f(scale, 8.0 * scale * f32(units));
}
`;

/** A value that is nothing where the group does not exist. */
function only(
  exists: string | undefined,
  value: string,
  nothing: string,
): string {
  return exists === undefined
    ? value
    : `select(${nothing}, ${value}, ${exists})`;
}

function eachWord(vectors: readonly string[]): string[] {
  return vectors.flatMap((vector) =>
    range(4).map((i) => `${vector}.${"xyzw"[i]}`)
  );
}

/** 1 + q / 16 for the low halves of a word's bytes. */
function lowBits(word: string): string {
  return fraction(
    `${word} << 19u, ${word} << 11u, ${word} << 3u, ${word} >> 5u`,
    "0x780000u",
  );
}

/** 1 + q / 16 for the high halves of a word's bytes. */
function highBits(word: string): string {
  return fraction(
    `${word} << 15u, ${word} << 7u, ${word} >> 1u, ${word} >> 9u`,
    "0x780000u",
  );
}

/** 1 + (q + 128) / 256 for a word's signed bytes. */
function byteBits(word: string): string {
  const flipped = `(${word} ^ 0x80808080u)`;
  return fraction(
    `${flipped} << 15u, ${flipped} << 7u, ${flipped} >> 1u, ${flipped} >> 9u`,
    "0x7f8000u",
  );
}

function fraction(moved: string, mask: string): string {
  return `bitcast<vec4f>((vec4u(${moved}) & vec4u(${mask})) | vec4u(0x3f800000u))`;
}
