import { test } from "node:test";
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";

import { CheckpointError, InputError } from "../../src/core/errors.ts";
import { resolveSource } from "../../src/hub/source.ts";
import { fileUrlToPath } from "../../src/hub/local_files.ts";
import { bytesSource } from "../../src/io/byte_source.ts";
import { openCheckpoint } from "../../src/io/checkpoint.ts";
import { detectPlatform } from "../../src/platform/detect.ts";
import type { Platform } from "../../src/platform/platform.ts";
import { referenceBytes, referencePath, referenceText } from "../golden.ts";
import { serveFiles } from "../io/http_server.ts";

const platform = await detectPlatform();
const CONFIG = await referenceText("tiny/config.json");

test("resolveSource() opens the files of a local directory", async () => {
  const path = referencePath("tiny");
  const url = new URL("../reference/tiny", import.meta.url);
  for (const source of [path, `${path}/`, url, url.href]) {
    const files = await resolveSource(source, platform);
    assert.equal(await files.readText("config.json"), CONFIG);
    assert.equal(await files.open("none.json"), undefined);
    assert.equal(await files.readText("none.json"), undefined);
    await using checkpoint = await openCheckpoint(files);
    assert.ok(checkpoint.names().length > 300);
  }
});

test("resolveSource() takes a name for a directory when there is one", async () => {
  const local: Platform = {
    ...platform,
    stat: (path) =>
      Promise.resolve(path === "models/tiny" ? "directory" : "missing"),
  };
  const files = await resolveSource("models/tiny", local);
  assert.equal(files.describe(), "models/tiny");
  const hub = await resolveSource("models/other", local);
  assert.equal(hub.describe(), "models/other at https://huggingface.co");
});

test("resolveSource() takes a name for a hub id when it may not look", async () => {
  const blind: Platform = {
    ...platform,
    stat: () => Promise.reject(new Error("no permission")),
  };
  const files = await resolveSource("org/name", blind);
  assert.match(files.describe(), /^org\/name at/);
  await assert.rejects(resolveSource("./name", blind), /no permission/);
});

test("resolveSource() rejects what is no source", async () => {
  const file = fileURLToPath(import.meta.url);
  for (
    const source of [
      "./none",
      "../none",
      "/none",
      "C:\\none",
      file,
      "",
      "a",
      "a/b/c",
      "a b/c",
      "http://",
      "ftp://a/b",
    ]
  ) {
    await assert.rejects(resolveSource(source, platform), InputError, source);
  }
});

test("resolveSource() opens the files below an address", async () => {
  await using server = await serveFiles({
    "/models/tiny/config.json?key=1": new TextEncoder().encode(CONFIG),
    "/models/tiny/a/b%20c.json?key=1": new TextEncoder().encode("{}"),
  });
  for (const folder of ["/models/tiny?key=1", "/models/tiny/?key=1"]) {
    const files = await resolveSource(server.address + folder, platform);
    assert.equal(await files.readText("config.json"), CONFIG);
    assert.equal(await files.readText("a/b c.json"), "{}");
    assert.equal(await files.readText("none.json"), undefined);
  }
});

test("resolveSource() opens what an object gives", async () => {
  const bytes = new TextEncoder().encode(CONFIG);
  const contents = new Map<string, unknown>([
    ["bytes", bytes],
    ["buffer", bytes.slice().buffer],
    ["blob", new Blob([bytes])],
    ["source", bytesSource("source", bytes)],
    ["wrong", "text"],
  ]);
  const opener = { open: (name: string) => contents.get(name) as undefined };
  const files = await resolveSource(opener, platform);
  for (const name of ["bytes", "buffer", "blob", "source"]) {
    assert.equal(await files.readText(name), CONFIG, name);
  }
  assert.equal(await files.open("none"), undefined);
  await assert.rejects(files.open("wrong"), InputError);
});

test("ModelFiles rejects names that lead out of the folder", async () => {
  const files = await resolveSource(referencePath("tiny"), platform);
  for (
    const name of [
      "../README.md",
      "/etc/passwd",
      "a/../../b",
      "a\\..\\b",
      "C:x",
      "",
      "a//b",
      "./a",
      "a?b",
      "a#b",
    ]
  ) {
    await assert.rejects(files.open(name), CheckpointError, name);
    await assert.rejects(files.readText(name), CheckpointError, name);
  }
});

test("ModelFiles rejects text that is not UTF-8 and closes the file", async () => {
  let closed = 0;
  const bytes = await referenceBytes("media/china.jpg");
  const source = {
    ...bytesSource("x", bytes),
    close: () => Promise.resolve(void closed++),
  };
  const files = await resolveSource({ open: () => source }, platform);
  await assert.rejects(files.readText("x"), CheckpointError);
  assert.equal(closed, 1);
});

test("fileUrlToPath() gives the path in the spelling of each system", () => {
  for (
    const [url, path] of [
      ["file:///home/a%20b/%EA%B0%80", "/home/a b/가"],
      ["file:///C:/Users/x", "C:/Users/x"],
      ["file://server/share/x", "//server/share/x"],
    ] as const
  ) {
    assert.equal(fileUrlToPath(new URL(url)), path);
  }
});
