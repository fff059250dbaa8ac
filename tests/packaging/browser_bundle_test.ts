// The library in one module for browsers: bundled as users bundle it, and run
// where only web standards are left.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import { build } from "esbuild";

import { bundle, handler } from "../../examples/browser/serve.ts";
import { cases } from "../golden.ts";

const path = (name: string) =>
  fileURLToPath(new URL(`../../${name}`, import.meta.url));

// What Deno has beyond browsers goes before the library is loaded.
const WITHOUT_RUNTIME = `
  delete globalThis.Deno; delete globalThis.process; delete globalThis.Buffer;`;

const PAGE = `
  import { pipeline } from "@g3n/core";
  const model = ${
  JSON.stringify(new URL("../reference/tiny/", import.meta.url))
};
  const source = {
    async open(name) {
      const response = await fetch(new URL(name, model)).catch(() => undefined);
      return response && await response.blob();
    },
  };
  await using generate = await pipeline("text-generation", source);
  const [answer] = await generate("The capital of France is", { maxNewTokens: 12, doSample: false });
  console.log(JSON.stringify([answer.generatedText, typeof process, typeof Deno]));`;

test("the bundle runs where there are only web standards", async () => {
  const { outputFiles } = await build({
    stdin: { contents: PAGE, resolveDir: path("") },
    alias: {
      "@g3n/core": path("mod.ts"),
      "@huggingface/hub": path(
        "node_modules/@huggingface/hub/dist/browser/index.mjs",
      ),
    },
    bundle: true,
    format: "esm",
    platform: "browser",
    target: "es2022",
    banner: { js: WITHOUT_RUNTIME },
    write: false,
  });
  const folder = await mkdtemp(join(tmpdir(), "g3n-bundle-"));
  try {
    const file = join(folder, "page.mjs");
    await writeFile(file, outputFiles[0]!.text);
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      ["run", "--allow-read", file],
      { encoding: "utf8" },
    );
    assert.equal(status, 0, stderr);
    const [text, ...globals] = JSON.parse(stdout);
    const expected = (await cases()).find(({ name }) => name === "text")!;
    assert.ok(expected.generated[0]!.startsWith(text), text);
    assert.deepEqual(globals, ["undefined", "undefined"]);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("examples/browser is served with its script", async () => {
  const serve = handler(await bundle());
  const get = (path: string) => serve(new Request(`http://localhost${path}`));
  const page = await get("/");
  assert.equal(page.headers.get("content-type"), "text/html; charset=utf-8");
  assert.match(await page.text(), /<script type="module" src="main\.js">/);
  const script = await get("/main.js");
  assert.equal(script.status, 200);
  assert.ok((await script.text()).length > 1e5);
  assert.equal((await get("/other")).status, 404);
});
