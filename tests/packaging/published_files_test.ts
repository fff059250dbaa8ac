// What `deno publish` would upload.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import process from "node:process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
/** Most that the library may weigh; four builds of the kernels are 1.6 MB of it. */
const MAX_BYTES = 4.5e6;
/** What JSR takes. */
const MAX_PACKAGE_BYTES = 20 * 2 ** 20;

const UNITS: Readonly<Record<string, number>> = {
  B: 1,
  KB: 2 ** 10,
  MB: 2 ** 20,
};

interface PublishedFile {
  readonly path: string;
  readonly bytes: number;
}

/** Reads lines such as `file:///.../src/core/dtype.ts (1.2KB)`. */
function publishedFiles(folder = ROOT): PublishedFile[] {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ["publish", "--dry-run", "--allow-dirty", "--no-check"],
    {
      cwd: folder,
      encoding: "utf8",
      env: { ...process.env, NO_COLOR: "1" },
    },
  );
  assert.equal(status, 0, stderr);
  return [
    ...(stdout + stderr).matchAll(/^\s*(file:\S+) \(([\d.]+)([KM]?B)\)$/gm),
  ].map(
    ([, url, size, unit]) => ({
      path: fileURLToPath(url!).slice(folder.length),
      bytes: Number(size) * UNITS[unit!]!,
    }),
  );
}

test("the package has what it needs, and nothing else", () => {
  const files = publishedFiles();
  const paths = files.map(({ path }) => path);
  for (
    const path of [
      "mod.ts",
      "deno.json",
      "package.json",
      "README.md",
      "LICENSE",
      "CHANGELOG.md",
      "src/cli/g3n.ts",
      "src/backends/wasm/device.ts",
      ...readdirSync(`${ROOT}wasm`).map((name) => `wasm/${name}`),
    ]
  ) {
    assert.ok(paths.includes(path), `"${path}" is missing`);
  }
  const allowed = /^(src|wasm)\/|^[\w.]+$/;
  assert.deepEqual(paths.filter((path) => !allowed.test(path)), []);
  const total = files.reduce((sum, { bytes }) => sum + bytes, 0);
  assert.ok(total < MAX_BYTES, `${total} bytes`);
});

test("the package of the small model has its weights and texts alone", () => {
  const files = publishedFiles(`${ROOT}models/nano/`);
  const weights = readdirSync(`${ROOT}models/nano`).filter((name) =>
    name.endsWith(".gguf")
  );
  const texts = ["ATTRIBUTION.md", "LICENSE", "README.md", "deno.json"];
  assert.deepEqual(
    files.map(({ path }) => path).sort(),
    [...texts, ...weights, "mod.ts"].sort(),
  );
  const total = files.reduce((sum, { bytes }) => sum + bytes, 0);
  assert.ok(total < MAX_PACKAGE_BYTES, `${total} bytes`);
});
