// deno.json, package.json, deno.lock and the sources agree.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { VERSION } from "../../src/cli/version.ts";

const ROOT = new URL("../../", import.meta.url);

interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly license: string;
  readonly exports: Readonly<Record<string, string>>;
}

interface PackageJson extends Manifest {
  readonly engines: { readonly node: string };
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
}

function read(name: string): string {
  return readFileSync(new URL(name, ROOT), "utf8");
}

const deno: Manifest = JSON.parse(read("deno.json"));
const npm: PackageJson = JSON.parse(read("package.json"));

test("deno.json and package.json describe one package", () => {
  for (const field of ["name", "version", "license", "exports"] as const) {
    assert.deepEqual(npm[field], deno[field], field);
  }
  assert.equal(VERSION, deno.version);
  assert.equal(npm.engines.node, ">=20.16");
});

test("CHANGELOG.md begins with this version", () => {
  const newest = /^## \[(.+?)\]/m.exec(read("CHANGELOG.md"))?.[1];
  assert.equal(newest, deno.version);
});

test("npm packages are pinned to one version each", () => {
  const all = { ...npm.dependencies, ...npm.devDependencies };
  for (const [name, version] of Object.entries(all)) {
    assert.match(version, /^\d+\.\d+\.\d+$/, name);
  }
});

test("deno.lock names no host, so that any registry serves", () => {
  assert.doesNotMatch(read("deno.lock"), /https?:|"tarball"/);
});

test("each export loads under the package's own name", async () => {
  const library = await import("@g3n/core");
  assert.deepEqual(library, await import("../../mod.ts"));
  // The command line is a program: importing it would run it.
  assert.match(read(deno.exports["./cli"]!.slice(2)), /@module/);
});
