import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { CheckpointError, UnsupportedError } from "../../src/core/errors.ts";
import { bytesSource } from "../../src/io/byte_source.ts";
import { type GgufHeader, readGgufHeader } from "../../src/io/gguf.ts";
import { GGML_TYPES, type GgufValue } from "../../src/io/gguf_types.ts";
import {
  encodeGgufHeader,
  type GgufMetadataValue,
  ggufTensorBytes,
} from "../../src/io/gguf_header_writer.ts";
import { decodeRows } from "../../src/quant/blocks.ts";
import { countingSource, randomInts } from "./files.ts";
import { GgufBytes, typeNumber } from "./gguf_bytes.ts";

const F32 = typeNumber("F32");
const DATA = new URL("data/", import.meta.url);
/** Made by the `gguf` package, see data/make_gguf.py. */
const FILE = new Uint8Array(readFileSync(new URL("values.gguf", DATA)));
const EXPECTED = JSON.parse(
  readFileSync(new URL("values.json", DATA), "utf8"),
) as {
  metadata: Record<string, unknown>;
  tensors: Record<string, { shape: number[]; type: string; values: number[] }>;
};

function read(bytes: Uint8Array): Promise<GgufHeader> {
  return readGgufHeader(bytesSource("x.gguf", bytes));
}

function plain(value: GgufValue): unknown {
  if (typeof value === "string" || typeof value !== "object") return value;
  return Array.from<unknown, unknown>(
    value,
    (item) => typeof item === "object" ? plain(item as GgufValue) : item,
  );
}

test("readGgufHeader() reads values of every type", async () => {
  const { metadata } = await read(FILE);
  assert.deepEqual(
    [...metadata.keys()].sort(),
    Object.keys(EXPECTED.metadata).sort(),
  );
  for (const [key, expected] of Object.entries(EXPECTED.metadata)) {
    const wanted = key === "a.booleans" ? [1, 0, 1] : expected;
    assert.deepEqual(plain(metadata.get(key)!), wanted, key);
  }
});

test("readGgufHeader() finds tensors of every shape and type", async () => {
  const { tensors } = await read(FILE);
  assert.deepEqual([...tensors.keys()], Object.keys(EXPECTED.tensors));
  for (
    const [name, { shape, type, values }] of Object.entries(EXPECTED.tensors)
  ) {
    const found = tensors.get(name)!;
    assert.deepEqual(found.shape, shape);
    assert.equal(found.type.name, type);
    const bytes = FILE.subarray(found.offset, found.offset + found.byteLength);
    assert.deepEqual([...decodeRows(bytes, found.type.dtype!)], values, name);
  }
});

test("readGgufHeader() reads a header in few pieces, at most once", async () => {
  const source = countingSource(bytesSource("x", FILE));
  await readGgufHeader(source);
  assert.equal(source.reads, 1);
  const keys = 20_000;
  const large = new GgufBytes().start(0, 1).key("t", "array").uint32(8).uint64(
    keys,
  );
  for (let i = 0; i < keys; i++) large.string("x".repeat(i % 200));
  const long = countingSource(bytesSource("x", large.bytes()));
  const { metadata } = await readGgufHeader(long);
  const tokens = metadata.get("t") as string[];
  assert.equal(tokens.length, keys);
  assert.equal(tokens[keys - 1]!.length, (keys - 1) % 200);
  assert.ok(long.reads <= 4, `${long.reads}`);
});

test("readGgufHeader() takes version 2, a wide alignment, and integers beyond 2^53", async () => {
  const bytes = new GgufBytes().start(2, 2, 2)
    .key("general.alignment", "uint32").uint32(128)
    .key("n", "uint64").uint64(2n ** 60n)
    .tensor("a", [3], F32, 0).tensor("b", [], F32, 128).pad(128);
  const start = bytes.length;
  const file = bytes.raw(...new Array(132).fill(1)).bytes();
  const { metadata, tensors } = await read(file);
  assert.equal(metadata.get("n"), 2n ** 60n);
  assert.equal(tensors.get("b")!.offset, start + 128);
  assert.deepEqual(tensors.get("b")!.shape, []);
});

const DAMAGED: readonly [string, RegExp, GgufBytes][] = [
  [
    "another magic",
    /does not begin with "GGUF"/,
    new GgufBytes().raw(1, 2, 3, 4).uint32(3),
  ],
  [
    "big-endian numbers",
    /version is 50331648/,
    new GgufBytes().start(0, 0, 3 << 24),
  ],
  [
    "more tensors than bytes",
    /counts 1000 tensors/,
    new GgufBytes().start(1000, 0),
  ],
  ["more keys than bytes", /metadata keys/, new GgufBytes().start(0, 1000)],
  [
    "a string beyond the end",
    /bytes of a metadata key/,
    new GgufBytes().start(0, 1).uint64(50).raw(...new Array(20).fill(65)),
  ],
  [
    "a key twice",
    /"k" occurs twice/,
    new GgufBytes().start(0, 2).key("k", "bool").raw(1).key("k", "bool").raw(0),
  ],
  [
    "an unknown value type",
    /type 77/,
    new GgufBytes().start(0, 1).string("k").uint32(77).raw(0, 0, 0, 0),
  ],
  [
    "a key that is not UTF-8",
    /not valid UTF-8/,
    new GgufBytes().start(0, 1).uint64(1).raw(0xff).uint32(7).raw(1),
  ],
  [
    "an array beyond the end",
    /values of "k"/,
    new GgufBytes().start(0, 1).key("k", "array").uint32(4).uint64(2n ** 63n),
  ],
  [
    "strings beyond the end",
    /strings of "k"/,
    new GgufBytes().start(0, 1).key("k", "array").uint32(8).uint64(2n ** 62n),
  ],
  [
    "a tensor twice",
    /tensor "a" occurs twice/,
    new GgufBytes().start(2, 0).tensor("a", [1], F32, 0).tensor(
      "a",
      [1],
      F32,
      32,
    ).pad(32).raw(...new Array(64).fill(0)),
  ],
  [
    "five dimensions",
    /has 5 dimensions/,
    new GgufBytes().start(1, 0).tensor("a", [1, 1, 1, 1, 1], F32, 0),
  ],
  [
    "a tensor beyond the end",
    /takes 1200 bytes/,
    new GgufBytes().start(1, 0).tensor("a", [300], F32, 0).pad(32).raw(0),
  ],
  [
    "a tensor of endless size",
    /takes/,
    new GgufBytes().start(1, 0).tensor("a", [2n ** 63n, 2n ** 63n], F32, 0).pad(
      32,
    ),
  ],
  [
    "a gap between tensors",
    /begins at byte 64/,
    new GgufBytes().start(2, 0).tensor("a", [1], F32, 0).tensor(
      "b",
      [1],
      F32,
      64,
    ).pad(32).raw(...new Array(96).fill(0)),
  ],
  [
    "overlapping tensors",
    /begins at byte 0/,
    new GgufBytes().start(2, 0).tensor("a", [1], F32, 0).tensor(
      "b",
      [1],
      F32,
      0,
    ).pad(32).raw(...new Array(96).fill(0)),
  ],
  [
    "rows that are not whole blocks",
    /multiple of 32/,
    new GgufBytes().start(1, 0).tensor("a", [33, 2], typeNumber("Q8_0"), 0).pad(
      32,
    ).raw(...new Array(99).fill(0)),
  ],
  [
    "an odd alignment",
    /"general.alignment" is 24/,
    new GgufBytes().start(0, 1).key("general.alignment", "uint32").uint32(24),
  ],
  [
    "an alignment that is text",
    /wanted a power of two/,
    new GgufBytes().start(0, 1).key("general.alignment", "string").string("32"),
  ],
];

for (const [what, message, bytes] of DAMAGED) {
  test(`readGgufHeader() rejects ${what}`, async () => {
    await assert.rejects(read(bytes.bytes()), {
      name: "CheckpointError",
      message,
    });
  });
}

test("readGgufHeader() rejects arrays that are deep or many", async () => {
  const deep = new GgufBytes().start(0, 1).key("k", "array");
  for (let i = 0; i < 1000; i++) deep.uint32(9).uint64(1);
  await assert.rejects(
    read(deep.uint32(4).uint64(0).bytes()),
    /arrays in arrays/,
  );
  const many = new GgufBytes().start(0, 1).key("k", "array").uint32(9).uint64(
    70_000,
  );
  for (let i = 0; i < 70_000; i++) many.uint32(0).uint64(0);
  await assert.rejects(read(many.bytes()), /at most 65536/);
});

test("readGgufHeader() tells versions and types it does not know", async () => {
  for (const version of [1, 4]) {
    await assert.rejects(
      read(new GgufBytes().start(0, 0, version).bytes()),
      UnsupportedError,
    );
  }
  const file = new GgufBytes().start(1, 0).tensor("a", [32], 99, 0).pad(32);
  await assert.rejects(read(file.bytes()), UnsupportedError);
});

test("readGgufHeader() rejects a file cut anywhere", async () => {
  const { tensors } = await read(FILE);
  const last = [...tensors.values()].at(-1)!;
  for (let length = 0; length < last.offset + last.byteLength; length += 7) {
    await assert.rejects(read(FILE.slice(0, length)), CheckpointError);
  }
});

const MUTATIONS = 6000;

test("readGgufHeader() gives the right error or a valid table for any damage", async () => {
  const { tensors } = await read(FILE);
  const headerBytes = [...tensors.values()][0]!.offset;
  const random = randomInts(9);
  let rejected = 0;
  for (let i = 0; i < MUTATIONS; i++) {
    const bytes = FILE.slice();
    for (let flips = 1 + random(4); flips > 0; flips--) {
      const at = random(headerBytes);
      if (random(3) === 0) bytes[at] = [0, 255, 127][random(3)]!;
      else bytes[at]! ^= 1 << random(8);
    }
    const source = countingSource(bytesSource("x", bytes));
    try {
      const { tensors } = await readGgufHeader(source);
      for (const { offset, byteLength } of tensors.values()) {
        assert.ok(offset + byteLength <= bytes.length);
      }
    } catch (error) {
      assert.ok(
        error instanceof CheckpointError || error instanceof UnsupportedError,
        String(error),
      );
      rejected++;
    }
    assert.ok(source.largestRead <= bytes.length);
  }
  assert.ok(rejected > MUTATIONS / 4 && rejected < MUTATIONS, `${rejected}`);
});

test("encodeGgufHeader() is what readGgufHeader() reads", async () => {
  const specs = [
    { name: "a", shape: [3, 64], dtype: "q8_0" },
    { name: "b", shape: [5], dtype: "f32" },
    { name: "c", shape: [2, 3, 32], dtype: "q4_0" },
  ] as const;
  const metadata = new Map<string, GgufMetadataValue>([
    ["text", "식물"],
    ["flag", true],
    ["n", { uint32: 4_000_000_000 }],
    ["x", { float32: 0.5 }],
    ["list", Int32Array.of(1, -2)],
    ["scores", Float32Array.of(0.5, -Infinity)],
    ["ids", Uint32Array.of(7)],
    ["tokens", ["", "\n", "x".repeat(9000)]],
    ["flags", [true, false]],
  ]);
  const { bytes, fileBytes } = encodeGgufHeader(metadata, specs);
  const file = new Uint8Array(fileBytes);
  file.set(bytes);
  const header = await read(file);
  const expected = {
    text: "식물",
    flag: true,
    n: 4_000_000_000,
    x: 0.5,
    list: Int32Array.of(1, -2),
    scores: Float32Array.of(0.5, -Infinity),
    ids: Uint32Array.of(7),
    tokens: metadata.get("tokens"),
    flags: Uint8Array.of(1, 0),
  };
  assert.deepEqual(Object.fromEntries(header.metadata), expected);
  for (const spec of specs) {
    const found = header.tensors.get(spec.name)!;
    assert.deepEqual(found.shape, spec.shape);
    assert.equal(found.type.dtype, spec.dtype);
    assert.equal(found.byteLength, ggufTensorBytes(spec));
    assert.equal(found.offset % 32, 0);
  }
  const last = header.tensors.get("c")!;
  assert.ok(fileBytes - last.offset - last.byteLength < 32);
});

test("encodeGgufHeader() refuses rows that are not whole blocks", () => {
  const odd = { name: "a", shape: [2, 33], dtype: "q4_0" } as const;
  assert.throws(() => encodeGgufHeader(new Map(), [odd]), /multiple of 32/);
});

test("GGML_TYPES have the sizes of ggml's blocks", () => {
  for (const { name, values, bytes } of GGML_TYPES.values()) {
    assert.ok([1, 32, 256].includes(values), name);
    assert.ok(bytes <= values * 8, name);
  }
});
