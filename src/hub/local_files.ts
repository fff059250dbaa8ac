// Model files in a local directory.
import { InputError } from "../core/errors.ts";
import { fileSource } from "../io/byte_source.ts";
import { type ModelFiles, modelFiles } from "../io/model_files.ts";
import type { Platform } from "../platform/platform.ts";

/**
 * The files of a local directory.
 *
 * @throws {InputError} When there is no such directory.
 */
export async function localFiles(
  directory: string,
  platform: Platform,
): Promise<ModelFiles> {
  const kind = await platform.stat(directory);
  if (kind !== "directory") {
    throw new InputError(
      `Cannot load a model from "${directory}": ${
        kind === "file"
          ? "it is a file, pass the directory that holds it"
          : "there is no such directory"
      }`,
    );
  }
  const base = directory.replace(/[/\\]+$/, "");
  return modelFiles(directory, async (name) => {
    const path = `${base}/${name}`;
    if (await platform.stat(path) !== "file") return undefined;
    return fileSource(path, await platform.openFile(path));
  });
}

/**
 * Path of a `file:` URL, in the spelling of the system: `/home/a b`, `C:/a b`
 * or `//server/share`.
 */
export function fileUrlToPath(url: URL): string {
  const path = decodeURIComponent(url.pathname);
  if (url.hostname !== "") return `//${url.hostname}${path}`;
  return /^\/[A-Za-z]:/.test(path) ? path.slice(1) : path;
}
