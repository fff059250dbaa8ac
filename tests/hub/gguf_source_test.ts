import assert from "node:assert/strict";
import { test } from "node:test";
import { resolveSource } from "../../src/hub/source.ts";
import type { Platform } from "../../src/platform/platform.ts";
import { testPlatform } from "../testing.ts";

const platform: Platform = {
  ...testPlatform,
  stat: (path) =>
    Promise.resolve(
      [".", "models", "/data/m", "org/local"].includes(path)
        ? "directory"
        : "missing",
    ),
};

/** Source, the file, where it is described to be. */
const SOURCES: readonly [string | URL, string, string][] = [
  ["model.gguf", "model.gguf", "./model.gguf"],
  ["models/a.GGUF", "a.GGUF", "models/a.GGUF"],
  ["/data/m/a b.gguf", "a b.gguf", "/data/m/a b.gguf"],
  [new URL("file:///data/m/a%20b.gguf"), "a b.gguf", "/data/m/a b.gguf"],
  ["org/local/a.gguf", "a.gguf", "org/local/a.gguf"],
  ["org/name/a.gguf", "a.gguf", "org/name at https://huggingface.co/a.gguf"],
  [
    "org/name/q4/a.gguf",
    "q4/a.gguf",
    "org/name at https://huggingface.co/q4/a.gguf",
  ],
  [
    "https://example.org/x/a.gguf?key=1",
    "a.gguf",
    "https://example.org/x?key=1/a.gguf",
  ],
];

for (const [source, file, description] of SOURCES) {
  test(`resolveSource() finds the GGUF file "${source}"`, async () => {
    const files = await resolveSource(source, platform);
    assert.equal(files.gguf, file);
    assert.equal(files.describe(), description);
  });
}

test("resolveSource() takes the GGUF file that an opener names", async () => {
  const asked: string[] = [];
  const files = await resolveSource({
    gguf: "weights.gguf",
    open(name) {
      asked.push(name);
      return undefined;
    },
  }, platform);
  assert.equal(files.gguf, "weights.gguf");
  await assert.rejects(files.readText("config.json"), {
    name: "CheckpointError",
    message: /Cannot find "weights.gguf"/,
  });
  assert.deepEqual(asked, ["weights.gguf"]);
});

test("resolveSource() says that a GGUF file has no folder", async () => {
  await assert.rejects(resolveSource("none/a.gguf", platform), {
    name: "InputError",
    message: /Cannot find the model "none"/,
  });
  await assert.rejects(resolveSource("./none/a.gguf", platform), {
    name: "InputError",
  });
});
