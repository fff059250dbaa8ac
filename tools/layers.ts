// Which module of src/ may import which: the table of ARCHITECTURE.md. Paths
// are relative to src/, with `/`.

/** Level of each folder; an import must lead to a lower one. */
const LEVELS: Readonly<Record<string, number>> = {
  core: 0,
  io: 1,
  quant: 1,
  codecs: 1,
  ops: 2,
  hub: 2,
  backends: 3,
  models: 3,
  processing: 3,
  generation: 3,
  platform: 4,
  api: 4,
  convert: 4,
  cli: 5,
  server: 5,
};

/** Interfaces of what a runtime offers: level 0 in a folder of level 4. */
const PLATFORM_INTERFACES = ["platform/platform.ts", "platform/terminal.ts"];

/** The only files that may name a runtime's globals and modules. */
const RUNTIME_FILES = ["deno", "bun", "node", "browser"].map((name) =>
  `platform/${name}.ts`
);

/** Imports that stay on their level. */
const SIDEWAYS = ["api -> platform", "convert -> platform", "cli -> server"];

/** Names that only {@link RUNTIME_FILES} may use. */
export const RUNTIME_GLOBALS: readonly string[] = [
  "Deno",
  "Bun",
  "process",
  "Buffer",
];

/** Whether a file may name {@link RUNTIME_GLOBALS} and `node:` modules. */
export function mayNameRuntime(file: string): boolean {
  return RUNTIME_FILES.includes(file);
}

/** Finds a package that nothing may depend on, by names that are no literals. */
const COMPUTED_IMPORTS = ["api/default_model.ts"];

/** Whether a file may import modules whose names are computed. */
export function mayComputeImports(file: string): boolean {
  return mayNameRuntime(file) || COMPUTED_IMPORTS.includes(file);
}

/**
 * Checks one import.
 *
 * @param from The importing file, below src/.
 * @param to The imported file, below src/, or beginning with `../`.
 * @returns What is wrong, or `undefined`.
 */
export function importProblem(from: string, to: string): string | undefined {
  const source = place(from);
  if (source.level === undefined) {
    return `the folder "${source.folder}" has no level in tools/layers.ts`;
  }
  if (to.startsWith("../")) return outsideProblem(source, to);
  const target = place(to);
  if (target.level === undefined) {
    return `imports ${to}, whose folder has no level in tools/layers.ts`;
  }
  if (source.folder === target.folder && source.level >= target.level) {
    return undefined;
  }
  if (SIDEWAYS.includes(`${source.folder} -> ${target.folder}`)) {
    return undefined;
  }
  if (target.level >= source.level) {
    return `imports ${to}: level ${source.level} may not import level ${target.level}`;
  }
  // The command line and the server have what a user has.
  if (source.level === 5 && target.level !== 4 && target.level !== 0) {
    return `imports ${to}: level 5 may import level 4 and level 0 only`;
  }
  return undefined;
}

interface Place {
  readonly folder: string;
  readonly level: number | undefined;
}

function place(file: string): Place {
  const folder = file.split("/")[0]!;
  if (PLATFORM_INTERFACES.includes(file)) return { folder, level: 0 };
  const level = Object.hasOwn(LEVELS, folder) ? LEVELS[folder] : undefined;
  return { folder, level };
}

function outsideProblem(source: Place, to: string): string | undefined {
  const built = to.startsWith("../wasm/") &&
    (source.folder === "backends" || source.folder === "codecs");
  if (built || (to === "../mod.ts" && source.level === 5)) return undefined;
  return `imports ${to}, outside src/`;
}
