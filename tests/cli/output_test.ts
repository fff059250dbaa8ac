// Order of texts, and what happens when they cannot be written.
import assert from "node:assert/strict";
import { test } from "node:test";

import { formatProgress } from "../../src/cli/load_model.ts";
import { isClosedPipe, Output } from "../../src/cli/output.ts";

test("Output writes texts in their order, however long each takes", async () => {
  let written = "";
  const output = new Output(async (text) => {
    await new Promise((resolve) => setTimeout(resolve, text === "a" ? 10 : 0));
    written += text;
  }, () => assert.fail("nothing fails"));
  for (const text of ["a", "", "b", "c"]) output.write(text);
  await output.flush();
  assert.equal(written, "abc");
});

test("Output tells of the first failure and drops the rest", async () => {
  const failures: unknown[] = [];
  let calls = 0;
  const output = new Output(() => {
    calls++;
    return Promise.reject(Object.assign(new Error("gone"), { code: "EPIPE" }));
  }, (error) => failures.push(error));
  output.write("a");
  output.write("b");
  await output.flush();
  output.write("c");
  await output.flush();
  assert.equal(calls, 1);
  assert.equal(failures.length, 1);
  assert.ok(isClosedPipe(failures[0]));
});

test("isClosedPipe() knows a full disk from a closed pipe", () => {
  const error = (code: string) => Object.assign(new Error(), { code });
  assert.ok(!isClosedPipe(error("ENOSPC")));
  assert.ok(!isClosedPipe(new DOMException("stop", "AbortError")));
  assert.ok(!isClosedPipe(undefined));
});

test("Output takes a status away before anything else is shown", async () => {
  let written = "";
  const output = new Output((text) => {
    written += text;
    return Promise.resolve();
  }, () => assert.fail("nothing fails"));
  output.showStatus("50 %");
  output.showStatus("60 %");
  output.write("done\n");
  output.clearStatus();
  await output.flush();
  assert.equal(written, "\r\x1b[K50 %\r\x1b[K60 %\r\x1b[Kdone\n");
});

test("formatProgress() fits a line, also of empty and large checkpoints", () => {
  const progress = (loadedBytes: number, totalBytes: number) => ({
    loadedBytes,
    totalBytes,
    part: "text" as const,
  });
  assert.equal(
    formatProgress(progress(5e6, 10e6), 0.25),
    "Loading text [############------------]  50 %  5.0 of 10 MB  20 MB/s",
  );
  assert.equal(
    formatProgress(progress(0, 0), 0),
    "Loading text [########################] 100 %  0.0 of 0.0 MB",
  );
  assert.ok(formatProgress(progress(11.2e9, 11.2e9), 3).length < 80);
});
