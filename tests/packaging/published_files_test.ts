// What `deno publish` would upload.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import process from "node:process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
/** Most that a package may weigh; the built modules are 1.2 MB. */
const MAX_BYTES = 3e6;

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
function publishedFiles(): PublishedFile[] {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ["publish", "--dry-run", "--allow-dirty", "--no-check"],
    {
      cwd: ROOT,
      encoding: "utf8",
      env: { ...process.env, NO_COLOR: "1" },
    },
  );
  assert.equal(status, 0, stderr);
  return [
    ...(stdout + stderr).matchAll(/^\s*(file:\S+) \(([\d.]+)([KM]?B)\)$/gm),
  ].map(
    ([, url, size, unit]) => ({
      path: fileURLToPath(url!).slice(ROOT.length),
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
