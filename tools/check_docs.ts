// Checks that every symbol that mod.ts exports is documented, and that the
// links inside the documents lead somewhere.
//
//   deno run -A tools/check_docs.ts
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

import { repositoryFiles } from "./check_style.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));

/** Output of `deno doc --json`, as far as it is read here. */
export interface DocOutput {
  readonly nodes: Readonly<Record<string, { readonly symbols: DocSymbol[] }>>;
}

interface DocSymbol {
  readonly name: string;
  readonly declarations: readonly Declaration[];
}

interface Documented {
  readonly location: { readonly filename: string; readonly line: number };
  readonly jsDoc?: {
    readonly doc?: string;
    readonly tags?: readonly { readonly kind: string }[];
  };
}

interface Declaration extends Documented {
  readonly kind: string;
  readonly declarationKind: string;
  readonly def?: { readonly methods?: readonly Method[] };
}

interface Method extends Documented {
  readonly name: string;
  readonly accessibility?: string;
}

/** Kinds of declarations that a user writes down but does not call. */
const TYPES = new Set(["interface", "typeAlias", "enum"]);

/**
 * What is missing in the docs of exported symbols: each needs a comment, each
 * method too, and what can be called or read needs an example.
 */
export function undocumented({ nodes }: DocOutput): string[] {
  const symbols = Object.values(nodes).flatMap((node) => node.symbols);
  return symbols.flatMap(({ name, declarations }) => {
    const exported = declarations.filter((d) => d.declarationKind === "export");
    const first = exported[0];
    if (first === undefined) return [];
    const problems: string[] = [];
    if (!exported.some((d) => d.jsDoc?.doc)) {
      problems.push(`${place(first)}: "${name}" has no doc comment`);
    }
    if (
      !exported.every((d) => TYPES.has(d.kind)) &&
      !exported.some((d) => d.jsDoc?.tags?.some((t) => t.kind === "example"))
    ) {
      problems.push(`${place(first)}: "${name}" has no @example`);
    }
    return [...problems, ...exported.flatMap((d) => methodProblems(name, d))];
  });
}

function methodProblems(owner: string, { def }: Declaration): string[] {
  const documented = new Set(
    def?.methods?.filter((m) => m.jsDoc?.doc).map((m) => m.name),
  );
  return (def?.methods ?? [])
    .filter((m) => m.accessibility === undefined && !documented.has(m.name))
    .map((m) => `${place(m)}: "${owner}.${m.name}" has no doc comment`);
}

function place({ location }: Documented): string {
  const path = location.filename.startsWith("file:")
    ? relative(ROOT, fileURLToPath(location.filename))
    : location.filename;
  return `${path}:${location.line}`;
}

/** Links of a Markdown text, with their lines; those inside code are none. */
export function markdownLinks(
  text: string,
): { target: string; line: number }[] {
  let inCode = false;
  return text.split("\n").flatMap((line, i) => {
    if (/^\s*(```|~~~)/.test(line)) inCode = !inCode;
    if (inCode) return [];
    const prose = line.replace(/`[^`]*`/g, "");
    const links = [...prose.matchAll(/\]\(\s*(?:<([^>]*)>|([^)\s]+))/g)];
    const references = [...prose.matchAll(/^\s*\[[^\]]+\]:\s*(\S+)/g)];
    return [...links, ...references].map((m) => ({
      target: (m[1] ?? m[2])!,
      line: i + 1,
    }));
  });
}

/** Anchors of the headings of a Markdown text, as GitHub makes them. */
export function headingAnchors(text: string): Set<string> {
  const anchors = new Set<string>();
  const prose = text.replace(/^\s*(```|~~~)[\s\S]*?^\s*\1/gm, "");
  for (const [, heading] of prose.matchAll(/^#{1,6}\s+(.*?)\s*#*$/gm)) {
    const slug = heading!.toLowerCase()
      .replace(/\[([^\]]*)\]\([^)]*\)/g, "$1")
      .replace(/[^\p{L}\p{N}\s_-]/gu, "")
      .replace(/\s/g, "-");
    let anchor = slug;
    for (let n = 1; anchors.has(anchor); n++) anchor = `${slug}-${n}`;
    anchors.add(anchor);
  }
  return anchors;
}

/** Links of one document that lead nowhere; `read` gives a file's text, or `undefined`. */
export function brokenLinks(
  file: string,
  text: string,
  read: (path: string) => string | undefined,
): string[] {
  return markdownLinks(text).flatMap(({ target, line }) => {
    if (/^[a-z][a-z0-9+.-]*:/i.test(target)) return [];
    const [path = "", anchor] = decodeURI(target).split("#");
    const destination = path === "" ? file : join(dirname(file), path);
    const found = path === "" ? text : read(destination);
    if (found === undefined) {
      return [`${file}:${line}: there is no file "${destination}"`];
    }
    const broken = anchor !== undefined && destination.endsWith(".md") &&
      !headingAnchors(found).has(anchor);
    return broken
      ? [`${file}:${line}: "${destination}" has no heading "#${anchor}"`]
      : [];
  });
}

function readRepositoryFile(path: string): string | undefined {
  const absolute = join(ROOT, path);
  if (!existsSync(absolute)) return undefined;
  return path.endsWith(".md") ? readFileSync(absolute, "utf8") : "";
}

if (import.meta.main) {
  const deno = process.execPath;
  const output = execFileSync(deno, ["doc", "--json", "mod.ts"], {
    cwd: ROOT,
    encoding: "utf8",
    maxBuffer: 2 ** 28,
  });
  const documents = repositoryFiles().filter((file) => file.endsWith(".md"));
  const problems = [
    ...undocumented(JSON.parse(output)),
    ...documents.flatMap((file) =>
      brokenLinks(file, readRepositoryFile(file)!, readRepositoryFile)
    ),
  ];
  for (const problem of problems) console.error(problem);
  if (problems.length > 0) process.exit(1);
  console.log(`Docs: all exports and ${documents.length} documents in order`);
}
