// The tool runs in Deno alone; so does its test.
import { test } from "node:test";
import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

import { importProblem } from "../../tools/layers.ts";
import { checkLayers } from "../../tools/check_layers.ts";
import { runtimeName } from "../platform/runtime.ts";

test("importProblem() lets imports lead down, and nowhere else", () => {
  const allowed = [
    ["io/a.ts", "core/errors.ts"],
    ["io/a.ts", "io/b.ts"],
    ["io/a.ts", "platform/platform.ts"],
    ["models/gemma3n/a.ts", "ops/ops.ts"],
    ["backends/wasm/a.ts", "../wasm/kernels.ts"],
    ["platform/detect.ts", "platform/deno.ts"],
    ["api/a.ts", "models/gemma3n/a.ts"],
    ["api/a.ts", "platform/detect.ts"],
    ["cli/a.ts", "api/a.ts"],
    ["cli/a.ts", "platform/terminal.ts"],
    ["cli/a.ts", "../mod.ts"],
  ];
  const refused = [
    ["core/a.ts", "io/a.ts"],
    ["io/a.ts", "codecs/a.ts"],
    ["ops/a.ts", "hub/a.ts"],
    ["models/gemma3n/a.ts", "backends/wasm/a.ts"],
    ["backends/wasm/a.ts", "models/gemma3n/a.ts"],
    ["generation/a.ts", "models/gemma3n/a.ts"],
    ["generation/a.ts", "backends/wasm/a.ts"],
    ["hub/a.ts", "platform/deno.ts"],
    ["platform/platform.ts", "platform/deno.ts"],
    ["platform/deno.ts", "api/a.ts"],
    ["api/a.ts", "cli/a.ts"],
    ["cli/a.ts", "models/gemma3n/a.ts"],
    ["server/a.ts", "cli/a.ts"],
    ["models/gemma3n/a.ts", "../wasm/kernels.ts"],
    ["api/a.ts", "../tests/golden.ts"],
    ["helpers/a.ts", "core/errors.ts"],
    ["api/a.ts", "toString/a.ts"],
  ];
  for (const [from, to] of allowed) {
    assert.equal(importProblem(from!, to!), undefined, `${from} -> ${to}`);
  }
  for (const [from, to] of refused) {
    assert.notEqual(importProblem(from!, to!), undefined, `${from} -> ${to}`);
  }
});

const FILES = {
  "core/errors.ts": "export class A {}",
  "api/default_model.ts": "export const a = (name: string) => import(name);",
  "io/up.ts": 'export { A } from "../ops/ops.ts";',
  "io/all.ts": 'export * from "../ops/ops.ts";',
  "io/type.ts": 'export type A = import("../ops/ops.ts").A;',
  "io/lazy.ts": 'export const a = () => import("../ops/ops.ts");',
  "io/computed.ts": "export const a = (name: string) => import(name);",
  "ops/ops.ts":
    'import type { A } from "../core/errors.ts"; export type { A };',
  "ops/node.ts": 'import "node:fs";',
  "ops/globals.ts": "console.log(Deno.args,\n typeof Bun, process,\n Buffer);",
  "ops/fine.ts":
    'export const a = { Deno: 1, process() {} };\na.process(); // Deno\nexport const s = "Bun";\nfor (const process of []) console.log(process);',
  "platform/node.ts": 'import "node:fs"; console.log(process);',
};

const EXPECTED = [
  "io/all.ts:1: imports ops/ops.ts: level 1 may not import level 2",
  "io/computed.ts:1: imports a module whose name is computed, which cannot be checked",
  "io/lazy.ts:1: imports ops/ops.ts: level 1 may not import level 2",
  "io/type.ts:1: imports ops/ops.ts: level 1 may not import level 2",
  "io/up.ts:1: imports ops/ops.ts: level 1 may not import level 2",
  'ops/globals.ts:1: names "Deno"; only the files of src/platform may',
  'ops/globals.ts:2: names "Bun"; only the files of src/platform may',
  'ops/globals.ts:2: names "process"; only the files of src/platform may',
  'ops/globals.ts:3: names "Buffer"; only the files of src/platform may',
  'ops/node.ts:1: imports "node:fs"; only the files of src/platform may',
];

test("checkLayers() finds each violation and nothing else", async (context) => {
  if (runtimeName() !== "deno") return context.skip("the tool needs Deno");
  const folder = await mkdtemp(join(tmpdir(), "g3n-layers-"));
  try {
    for (const [name, text] of Object.entries(FILES)) {
      const path = join(folder, "src", name);
      await mkdir(dirname(path), { recursive: true });
      await writeFile(path, text);
    }
    const violations = await checkLayers(join(folder, "src"));
    assert.deepEqual(
      violations.sort(),
      EXPECTED.map((violation) => `src/${violation}`),
    );
  } finally {
    await rm(folder, { recursive: true });
  }
});
