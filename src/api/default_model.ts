// The model that is used where none is named: the package @g3n/nano. Nothing
// here depends on it: it is looked for when it is needed.
import { InputError } from "../core/errors.ts";
import type { FileOpener } from "../hub/opened_files.ts";
import type { ModelSource } from "../hub/source.ts";

/** The package of the default model. */
export const DEFAULT_PACKAGE = "@g3n/nano";

/** Below this module, where both packages are in one repository. */
const IN_REPOSITORY = "../../models/nano/mod.ts";

/** Loads a module by its name. */
export type ImportModule = (specifier: string) => Promise<unknown>;

/**
 * The source of the default model.
 *
 * @throws {InputError} When its package is not installed.
 */
export async function defaultModel(
  // A name that is no literal: bundlers and registries must not follow it.
  importModule: ImportModule = (specifier) => import(specifier),
): Promise<ModelSource> {
  const problems: unknown[] = [];
  for (const place of places()) {
    try {
      return sourceOf(await importModule(place));
    } catch (error) {
      problems.push(error);
    }
  }
  throw new InputError(
    `Cannot find the default model, the package "${DEFAULT_PACKAGE}"; ` +
      `install it (deno add jsr:${DEFAULT_PACKAGE}, npx jsr add ${DEFAULT_PACKAGE}), or name a model (--model)`,
    { cause: new AggregateError(problems) },
  );
}

/** Installed, or named by an import map; in the repository; on JSR, for Deno. */
function places(): string[] {
  const here = import.meta.url;
  return [
    DEFAULT_PACKAGE,
    ...here.startsWith("file:") ? [new URL(IN_REPOSITORY, here).href] : [],
    `jsr:${DEFAULT_PACKAGE}@^0.1.0`,
  ];
}

function sourceOf(module: unknown): FileOpener {
  const { nano } = module as { nano?: FileOpener };
  if (typeof nano?.open === "function") return nano;
  throw new TypeError(
    `Cannot use "${DEFAULT_PACKAGE}": it exports no source "nano"`,
  );
}
