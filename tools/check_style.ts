// Checks what the formatter and the linter do not: sizes of files and
// functions, file names, and words that have no place in the sources.
//
//   deno run -A tools/check_style.ts
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

const MAX_LINES = 450;
const MAX_TEST_LINES = 600;
const MAX_FUNCTION_LINES = 60;

const SOURCES =
  /^(src|rust|tools|bench|examples|tests)\/.*\.(ts|rs)$|^mod\.ts$/;
const TESTS = /^tests\/|(^|\/)tests?\.rs$|_test\.ts$/;
// Built from rust/, or data.
const EXCLUDED = /^wasm\/|^tests\/reference\/(?!README|make_)|lock$|^LICENSE$/;
const TEXT = /\.(ts|rs|md|json|jsonc|toml|yml|yaml|py|sh|html|js|mjs)$/;

const VAGUE_NAMES = /(^|\/)(utils?|helpers?|misc|common)\.(ts|rs)$/;
const FILE_NAME = /^[a-z0-9_.]+$/;

/** Words that must not be committed, and why. Spelt so that they do not find themselves. */
const FORBIDDEN: readonly (readonly [RegExp, string])[] = [
  [/\b(TOD[O]|FIXM[E]|XX[X]|HAC[K])\b/gm, "an open end: finish it"],
  [/@ts-(ignore|nocheck|expect-error)\b/gm, "a type error that is hidden"],
  [/\bcatch\s*(\(\w+\)\s*)?\{\s*\}/gm, "an error that is swallowed"],
  [/\btest\.(only|skip|todo)\(/gm, "a test that is switched off"],
  [/(^|[\s("'`=])\/(root|work|tmp)\/\w+/gm, "a path of one machine"],
  [/(^|[\s(])#\d+\b(?!-)/gm, "the number of an issue: say what it is about"],
];

/** A finding, printed as `file:line: message`. */
export interface Finding {
  readonly file: string;
  readonly line: number;
  readonly message: string;
}

/** Checks one file; `path` is relative to the repository. */
export function checkFile(path: string, text: string): Finding[] {
  if (EXCLUDED.test(path) || !TEXT.test(path)) return [];
  const lines = text.split("\n");
  const findings = [...forbiddenWords(path, text)];
  if (SOURCES.test(path)) {
    findings.push(...sizes(path, lines), ...name(path));
  }
  return findings;
}

function* forbiddenWords(file: string, text: string): Iterable<Finding> {
  for (const [pattern, why] of FORBIDDEN) {
    for (const found of text.matchAll(pattern)) {
      const start = found.index + found[0].search(/\S/);
      const line = text.slice(0, start).split("\n").length;
      const word = found[0].trim().replace(/\s+/g, " ");
      yield { file, line, message: `"${word}" is ${why}` };
    }
  }
}

function* sizes(file: string, lines: string[]): Iterable<Finding> {
  const test = TESTS.test(file);
  const limit = test ? MAX_TEST_LINES : MAX_LINES;
  if (lines.length - 1 > limit) {
    const message = `${lines.length - 1} lines, at most ${limit} are allowed`;
    yield { file, line: 1, message };
  }
  if (test) return;
  for (const { first, last } of functions(file, lines)) {
    const length = last - first + 1;
    if (length <= MAX_FUNCTION_LINES) continue;
    const message = `a function of ${length} lines, at most ` +
      `${MAX_FUNCTION_LINES} are allowed`;
    yield { file, line: first, message };
  }
}

const FUNCTION = {
  ts: /^( *)(export )?(default )?(async )?function\b/,
  rs: /^( *)(pub(\(\w+\))? )?(const )?(unsafe )?(extern "C" )?fn\b/,
};
const METHOD =
  /^( *)((static|async|override|private|protected|get|set) )*\*?(#?\w+|\[[\w.]+\])[(<].*[{(]$/;

/**
 * First and last lines of functions and methods, counted from 1. Formatted
 * sources end each with a brace as deep as its first line.
 */
function* functions(
  file: string,
  lines: string[],
): Iterable<{ first: number; last: number }> {
  const pattern = file.endsWith(".rs") ? FUNCTION.rs : FUNCTION.ts;
  /** Depth of the methods of the class or the returned object around. */
  let methods: string | undefined;
  for (const [i, line] of lines.entries()) {
    if (/^(export )?(abstract )?class\b/.test(line)) methods = "  ";
    if (line === "  return {") methods = "    ";
    if (line === "}") methods = undefined;
    const method = METHOD.exec(line)?.[1];
    const indent = pattern.exec(line)?.[1] ??
      (method === methods ? method : undefined);
    if (indent === undefined || line.endsWith("}") || line.endsWith(";")) {
      continue;
    }
    const last = lines.findIndex((end, j) =>
      j > i && (end === `${indent}}` || end === `${indent}},`)
    );
    if (last > i && !isTable(lines.slice(i, last), indent)) {
      yield { first: i + 1, last: last + 1 };
    }
  }
}

/** Whether all a function does is to return an object, whose methods count by themselves. */
function isTable(lines: string[], indent: string): boolean {
  const body = lines.findIndex((line) =>
    line.startsWith(indent) && /^\S.*\{$/.test(line.slice(indent.length))
  );
  return lines[body + 1] === `${indent}  return {`;
}

function* name(file: string): Iterable<Finding> {
  const base = file.slice(file.lastIndexOf("/") + 1);
  if (VAGUE_NAMES.test(file)) {
    yield { file, line: 1, message: "a name that does not say what is inside" };
  }
  if (!FILE_NAME.test(base)) {
    yield { file, line: 1, message: "file names are snake_case" };
  }
}

const ROOT = fileURLToPath(new URL("..", import.meta.url));

/** Paths of the files git knows or would add, relative to the repository. */
export function repositoryFiles(): string[] {
  const listed = execFileSync(
    "git",
    ["ls-files", "-z", "--cached", "--others", "--exclude-standard"],
    { cwd: ROOT, encoding: "utf8" },
  );
  return listed.split("\0").filter((path) => existsSync(join(ROOT, path)));
}

if (import.meta.main) {
  const files = repositoryFiles().filter((path) => TEXT.test(path));
  const findings = files.flatMap((path) =>
    checkFile(path, readFileSync(join(ROOT, path), "utf8"))
  );
  for (const { file, line, message } of findings) {
    console.error(`${file}:${line}: ${message}`);
  }
  if (findings.length > 0) process.exit(1);
  console.log(`Style: ${files.length} files, nothing found`);
}
