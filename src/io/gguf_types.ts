// Numbers of the GGUF format: types of metadata values, types of tensors.
import type { CheckpointDtype } from "../core/dtype.ts";

/** First four bytes of a file. */
export const GGUF_MAGIC = "GGUF";
/** Version written; 2 differs in nothing that is read here. */
export const GGUF_VERSION = 3;
/** Multiple of bytes at which tensors begin, unless the metadata says otherwise. */
export const DEFAULT_ALIGNMENT = 32;
/** Metadata key of another alignment. */
export const ALIGNMENT_KEY = "general.alignment";

/** Type numbers of metadata values. */
export const VALUE_TYPES = {
  uint8: 0,
  int8: 1,
  uint16: 2,
  int16: 3,
  uint32: 4,
  int32: 5,
  float32: 6,
  bool: 7,
  string: 8,
  array: 9,
  uint64: 10,
  int64: 11,
  float64: 12,
} as const;

/** Type of a metadata value. */
export type ValueType = keyof typeof VALUE_TYPES;

/** Type of a metadata value of fixed size. */
export type ScalarType = Exclude<ValueType, "string" | "array">;

/** Bytes of each {@link ScalarType}. */
export const SCALAR_BYTES: Readonly<Record<ScalarType, number>> = {
  uint8: 1,
  int8: 1,
  uint16: 2,
  int16: 2,
  uint32: 4,
  int32: 4,
  float32: 4,
  bool: 1,
  uint64: 8,
  int64: 8,
  float64: 8,
};

/** Array of metadata: numbers in a typed array (booleans as 0 and 1), strings, or arrays. */
export type GgufArray =
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | Float32Array
  | Float64Array
  | BigUint64Array
  | BigInt64Array
  | readonly string[]
  | readonly GgufArray[];

/** Value of a metadata key; a 64-bit integer is a bigint where a number cannot hold it. */
export type GgufValue = number | bigint | boolean | string | GgufArray;

/** A type of tensors. */
export interface GgmlType {
  /** As ggml spells it. */
  readonly name: string;
  /** Values of a block; 1 for plain numbers. */
  readonly values: number;
  /** Bytes of a block. */
  readonly bytes: number;
  /** What it is to a checkpoint, where that can be read here. */
  readonly dtype: CheckpointDtype | undefined;
}

const type = (
  name: string,
  values: number,
  bytes: number,
  dtype?: CheckpointDtype,
): GgmlType => ({ name, values, bytes, dtype });

/** Types of tensors by their number in the file. */
export const GGML_TYPES: ReadonlyMap<number, GgmlType> = new Map([
  [0, type("F32", 1, 4, "f32")],
  [1, type("F16", 1, 2, "f16")],
  [2, type("Q4_0", 32, 18, "q4_0")],
  [3, type("Q4_1", 32, 20)],
  [6, type("Q5_0", 32, 22)],
  [7, type("Q5_1", 32, 24)],
  [8, type("Q8_0", 32, 34, "q8_0")],
  [9, type("Q8_1", 32, 36)],
  [10, type("Q2_K", 256, 84)],
  [11, type("Q3_K", 256, 110)],
  [12, type("Q4_K", 256, 144, "q4_k")],
  [13, type("Q5_K", 256, 176, "q5_k")],
  [14, type("Q6_K", 256, 210, "q6_k")],
  [15, type("Q8_K", 256, 292)],
  [16, type("IQ2_XXS", 256, 66)],
  [17, type("IQ2_XS", 256, 74)],
  [18, type("IQ3_XXS", 256, 98)],
  [19, type("IQ1_S", 256, 50)],
  [20, type("IQ4_NL", 32, 18)],
  [21, type("IQ3_S", 256, 110)],
  [22, type("IQ2_S", 256, 82)],
  [23, type("IQ4_XS", 256, 136)],
  [24, type("I8", 1, 1)],
  [25, type("I16", 1, 2)],
  [26, type("I32", 1, 4)],
  [27, type("I64", 1, 8)],
  [28, type("F64", 1, 8)],
  [29, type("IQ1_M", 256, 56)],
  [30, type("BF16", 1, 2, "bf16")],
  [34, type("TQ1_0", 256, 54)],
  [35, type("TQ2_0", 256, 66)],
  [39, type("MXFP4", 32, 17)],
]);

/** Number in the file of each type that a checkpoint can have. */
export const GGML_TYPE_NUMBERS: ReadonlyMap<CheckpointDtype, number> = new Map(
  [...GGML_TYPES].flatMap(([number, { dtype }]) =>
    dtype === undefined ? [] : [[dtype, number]]
  ),
);
