import assert from "node:assert/strict";
import { test } from "node:test";
import { InputError } from "../../src/core/errors.ts";
import { hostTensor } from "../../src/core/tensor.ts";

test("hostTensor keeps the data it is given", () => {
  const data = Int32Array.of(1, 2, 3, 4, 5, 6);
  const x = hostTensor("int32", [2, 3], data);
  assert.equal(x.dtype, "int32");
  assert.deepEqual(x.shape, [2, 3]);
  assert.equal(x.data, data);
  assert.equal(hostTensor("float32", [], Float32Array.of(7)).data[0], 7);
});

test("hostTensor refuses data that does not fill the shape", () => {
  assert.throws(
    () => hostTensor("uint8", [2, 3], new Uint8Array(5)),
    (error: unknown) =>
      error instanceof InputError &&
      error.message ===
        "Cannot make a tensor of shape [2,3]: it has 6 elements, the data has 5",
  );
});
