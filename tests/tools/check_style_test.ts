import assert from "node:assert/strict";
import { test } from "node:test";

import { checkFile, repositoryFiles } from "../../tools/check_style.ts";

/** Messages about a file, each with its line. */
function check(path: string, text: string): string[] {
  return checkFile(path, text).map(({ line, message }) =>
    `${line}: ${message}`
  );
}

/** A body of so many lines. */
function statements(count: number, indent: string): string {
  return `${indent}work();\n`.repeat(count);
}

test("checkFile() limits the lines of a file, more so of a source", () => {
  const lines = (count: number) => "a();\n".repeat(count);
  assert.deepEqual(check("src/a.ts", lines(450)), []);
  assert.deepEqual(check("src/a.ts", lines(451)), [
    "1: 451 lines, at most 450 are allowed",
  ]);
  assert.equal(check("rust/kernels/src/a.rs", lines(451)).length, 1);
  assert.deepEqual(check("tests/a_test.ts", lines(600)), []);
  assert.equal(check("tests/a_test.ts", lines(601)).length, 1);
  assert.deepEqual(check("wasm/kernels.ts", lines(1000)), []);
});

test("checkFile() limits the lines of functions", () => {
  const declared = (count: number) =>
    `export async function f(\n  x: number,\n): Promise<A> {\n${
      statements(count, "  ")
    }}\n`;
  assert.deepEqual(check("src/a.ts", declared(56)), []);
  assert.deepEqual(check("src/a.ts", declared(57)), [
    "1: a function of 61 lines, at most 60 are allowed",
  ]);
  assert.deepEqual(check("tests/a_test.ts", declared(57)), []);
  const rust = `pub(crate) fn f() {\n${statements(59, "    ")}}\n`;
  assert.equal(check("rust/kernels/src/a.rs", rust).length, 1);
});

test("checkFile() limits the lines of methods, of classes and of returned objects", () => {
  const method = (count: number) =>
    `export class A {\n  async #m(x: number): Promise<void> {\n${
      statements(count, "    ")
    }  }\n}\n`;
  assert.deepEqual(check("src/a.ts", method(58)), []);
  assert.deepEqual(check("src/a.ts", method(59)), [
    "2: a function of 61 lines, at most 60 are allowed",
  ]);
  const table = (count: number) =>
    `export function ops(): Ops {\n  return {\n    add(a, b) {\n${
      statements(count, "      ")
    }    },\n    mul(a, b) {\n${statements(40, "      ")}    },\n  };\n}\n`;
  assert.deepEqual(check("src/a.ts", table(40)), []);
  assert.deepEqual(check("src/a.ts", table(59)), [
    "3: a function of 61 lines, at most 60 are allowed",
  ]);
});

test("checkFile() finds words that have no place in the sources", () => {
  const refused = [
    "// TO" + "DO: more",
    "// @ts-" + "ignore",
    "try { a(); } catch " + "{}",
    "try { a(); } catch (error) " + "{\n }",
    "test" + '.skip("x", () => {});',
    'open("/wor' + 'k/main/a");',
    "// see " + "#123",
  ];
  for (const line of refused) {
    assert.equal(check("docs/a.md", `fine\n${line}\n`).length, 1, line);
    assert.match(check("src/a.ts", `fine\n${line}\n`)[0]!, /^2: "/, line);
  }
  const allowed = [
    "this.#private = 1;",
    "[layers](#" + "2-layers)",
    "catch (error) { throw error; }",
    'fetch("https://example.com/work/1");',
    "todos()",
  ];
  assert.deepEqual(check("src/a.ts", allowed.join("\n")), []);
});

test("checkFile() wants names that say what is inside", () => {
  assert.equal(check("src/core/utils.ts", "").length, 1);
  assert.equal(check("src/core/rmsNorm.ts", "").length, 1);
  assert.deepEqual(check("src/core/rms_norm.ts", ""), []);
});

test("repositoryFiles() lists the sources, not what git ignores", () => {
  const files = repositoryFiles();
  assert.ok(files.includes("src/core/dtype.ts"));
  assert.ok(!files.some((file) => file.startsWith("node_modules/")));
});
