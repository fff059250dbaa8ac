import { test } from "node:test";
import assert from "node:assert/strict";

import { CheckpointError } from "../../src/core/errors.ts";
import { decodeUtf8, parseUniqueJsonObject } from "../../src/core/json.ts";

test("parseUniqueJsonObject() accepts equal keys of different objects", () => {
  const text =
    '{"a": {"x": 1, "a": "a:"}, "b": [{"x": 1}, {"x": 2}], "a\\"": {}}';
  assert.deepEqual(parseUniqueJsonObject(text, "f"), JSON.parse(text));
});

test("parseUniqueJsonObject() rejects a key that occurs twice, however spelled", () => {
  for (
    const text of [
      '{"a": 1, "a": 2}',
      '{"a": 1, "\\u0061" : 2}',
      '{"t": {"b": [1, {"c": 2}], "b"\n: 3}}',
      '{"__proto__": 1, "__proto__": 2}',
      '{"\\\\": 1, "x": "\\"", "\\\\": 2}',
    ]
  ) {
    assert.throws(() => parseUniqueJsonObject(text, "f.json"), {
      name: "CheckpointError",
      message: /occurs twice/,
    }, text);
  }
});

test("parseUniqueJsonObject() rejects what is not a JSON object", () => {
  for (const text of ["", "{", "[]", "1", "null", '"x"', "{'a': 1}"]) {
    assert.throws(
      () => parseUniqueJsonObject(text, "f.json"),
      CheckpointError,
      text,
    );
  }
});

test("parseUniqueJsonObject() rejects deep nesting without a crash", () => {
  const text = "[".repeat(1_000_000);
  assert.throws(() => parseUniqueJsonObject(text, "f.json"), CheckpointError);
});

test("decodeUtf8() reads shared memory and rejects invalid bytes", () => {
  const shared = new Uint8Array(new SharedArrayBuffer(3));
  shared.set(new TextEncoder().encode("가"));
  assert.equal(decodeUtf8(shared, "f"), "가");
  shared[2] = 0xff;
  assert.throws(() => decodeUtf8(shared, "f"), CheckpointError);
});
