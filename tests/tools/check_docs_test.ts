import assert from "node:assert/strict";
import { test } from "node:test";

import {
  brokenLinks,
  type DocOutput,
  headingAnchors,
  markdownLinks,
  undocumented,
} from "../../tools/check_docs.ts";

const AT = { filename: "mod.ts", line: 3 };
const DOC = { doc: "What it is." };
const EXAMPLE = { ...DOC, tags: [{ kind: "example" }] };

function docOutput(
  name: string,
  ...declarations: Record<string, unknown>[]
): DocOutput {
  const full = declarations.map((d) => ({
    location: AT,
    declarationKind: "export",
    ...d,
  }));
  return JSON.parse(
    JSON.stringify({
      nodes: { "mod.ts": { symbols: [{ name, declarations: full }] } },
    }),
  );
}

test("undocumented() wants a comment and an example", () => {
  const f = (jsDoc?: unknown) => docOutput("f", { kind: "function", jsDoc });
  assert.deepEqual(undocumented(f()), [
    'mod.ts:3: "f" has no doc comment',
    'mod.ts:3: "f" has no @example',
  ]);
  assert.deepEqual(undocumented(f(DOC)), ['mod.ts:3: "f" has no @example']);
  assert.deepEqual(undocumented(f(EXAMPLE)), []);
});

test("undocumented() wants no example of a type, and nothing of what is not exported", () => {
  assert.deepEqual(
    undocumented(docOutput("T", { kind: "interface", jsDoc: DOC })),
    [],
  );
  assert.deepEqual(
    undocumented(
      docOutput("T", { kind: "interface", declarationKind: "private" }),
    ),
    [],
  );
});

test("undocumented() takes the comment of any overload", () => {
  const overloads = docOutput(
    "f",
    { kind: "function" },
    { kind: "function", jsDoc: EXAMPLE },
  );
  assert.deepEqual(undocumented(overloads), []);
});

test("undocumented() wants a comment on each public method", () => {
  const methods = [
    { name: "a", location: AT, jsDoc: DOC },
    { name: "b", location: AT },
    { name: "c", location: AT, accessibility: "private" },
  ];
  const output = docOutput("A", {
    kind: "class",
    jsDoc: EXAMPLE,
    def: { methods },
  });
  assert.deepEqual(undocumented(output), [
    'mod.ts:3: "A.b" has no doc comment',
  ]);
});

test("markdownLinks() finds links outside of code", () => {
  const text = [
    "see [a](a.md) and [b](<b c.md>), not `[c](c.md)`",
    "```md",
    "[d](d.md)",
    "```",
    "![picture](e.png)",
    "[f]: f.md",
  ].join("\n");
  assert.deepEqual(markdownLinks(text), [
    { target: "a.md", line: 1 },
    { target: "b c.md", line: 1 },
    { target: "e.png", line: 5 },
    { target: "f.md", line: 6 },
  ]);
});

test("headingAnchors() spells anchors as GitHub does", () => {
  const text =
    "# A & B\n\n## `code`, and *more*\n\n## A & B\n\n```sh\n# comment\n```\n## 한국어\n";
  assert.deepEqual([...headingAnchors(text)], [
    "a--b",
    "code-and-more",
    "a--b-1",
    "한국어",
  ]);
});

test("brokenLinks() follows files and headings", () => {
  const files: Record<string, string> = {
    "docs/b.md": "## Here\n",
    "LICENSE": "",
  };
  const text = [
    "# Top",
    "[ok](b.md#here) [ok](../LICENSE) [ok](#top) [ok](https://example.com/x)",
    "[no](c.md)",
    "[no](b.md#there)",
    "[no](#bottom)",
  ].join("\n");
  assert.deepEqual(brokenLinks("docs/a.md", text, (path) => files[path]), [
    'docs/a.md:3: there is no file "docs/c.md"',
    'docs/a.md:4: "docs/b.md" has no heading "#there"',
    'docs/a.md:5: "docs/a.md" has no heading "#bottom"',
  ]);
});
