// Two buffers for all blocks of a load.
import assert from "node:assert/strict";
import { test } from "node:test";
import { BlockBuffers } from "../../src/io/block_buffers.ts";

test("BlockBuffers takes two buffers by turns, whatever tensors they are for", () => {
  const buffers = new BlockBuffers();
  const [first, second] = [buffers.take(8), buffers.take(5)];
  assert.equal(second.length, 5);
  assert.notEqual(second.buffer, first.buffer);
  assert.equal(buffers.take(3).buffer, first.buffer);
  assert.equal(buffers.take(5).buffer, second.buffer);
});

test("BlockBuffers makes a larger buffer where the one whose turn it is is too small", () => {
  const buffers = new BlockBuffers();
  const [first, second] = [buffers.take(8), buffers.take(8)];
  const larger = buffers.take(9);
  assert.equal(larger.length, 9);
  assert.notEqual(larger.buffer, first.buffer);
  assert.equal(buffers.take(8).buffer, second.buffer);
  assert.equal(buffers.take(9).buffer, larger.buffer);
});
