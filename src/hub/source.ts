// From what a user passes as `source` to the model's files.
import { InputError } from "../core/errors.ts";
import { ggufFiles } from "../io/gguf_files.ts";
import type { ModelFiles } from "../io/model_files.ts";
import type { Platform } from "../platform/platform.ts";
import { httpFiles } from "./http_files.ts";
import { hubFiles, type HubOptions } from "./hub_files.ts";
import { fileUrlToPath, localFiles } from "./local_files.ts";
import { type FileOpener, openedFiles } from "./opened_files.ts";

/**
 * Where a model is: a hub id (`org/name`), a local directory, a `file:` or
 * `https:` URL of a folder, each of these with the name of a GGUF file behind
 * it (`org/name/model.gguf`), or an object that opens files by name.
 */
export type ModelSource = string | URL | FileOpener;

/**
 * Finds the files of a model.
 *
 * What ends in `.gguf` is a file in such a folder. A string is a URL when it has such a scheme, a path when it begins with `/`,
 * `./`, `../` or a drive letter or names a local directory, else a hub id.
 *
 * @throws {InputError} When the source is none of these, or the directory does
 * not exist.
 */
export async function resolveSource(
  source: ModelSource,
  platform: Platform,
  options: HubOptions = {},
): Promise<ModelFiles> {
  if (typeof source === "object" && !(source instanceof URL)) {
    const files = openedFiles(source);
    return source.gguf === undefined ? files : ggufFiles(files, source.gguf);
  }
  const text = String(source);
  if (!/\.gguf(\?|#|$)/i.test(text)) {
    return await resolveFolder(text, platform, options);
  }
  const { folder, file } = await splitGgufSource(text, platform);
  return ggufFiles(await resolveFolder(folder, platform, options), file);
}

const URL_SCHEME = /^(https?|file):/i;
const LOCAL_PATH = /^(\.{0,2}[/\\]|\.{1,2}$|[A-Za-z]:[/\\])/;

async function resolveFolder(
  text: string,
  platform: Platform,
  options: HubOptions,
): Promise<ModelFiles> {
  if (URL_SCHEME.test(text)) {
    const url = parseUrl(text);
    if (url.protocol === "file:") {
      return await localFiles(fileUrlToPath(url), platform);
    }
    const { signal, retryDelayMs } = options;
    return httpFiles(url, { fetch: platform.fetch, signal, retryDelayMs });
  }
  if (LOCAL_PATH.test(text)) {
    return await localFiles(text, platform);
  }
  if (await existsLocally(text, platform)) {
    return await localFiles(text, platform);
  }
  if (/^[\w.-]+\/[\w.-]+$/.test(text)) {
    return hubFiles(text, platform, options);
  }
  throw new InputError(
    `Cannot find the model "${text}": it is neither a local directory nor an https: or file: URL nor a hub id such as "google/gemma-3n-E2B-it"`,
  );
}

/** A GGUF source as the folder and the file in it; on the hub the folder is the repository. */
async function splitGgufSource(
  text: string,
  platform: Platform,
): Promise<{ folder: string; file: string }> {
  if (URL_SCHEME.test(text)) {
    const url = parseUrl(text);
    const file = decodeURIComponent(url.pathname.split("/").at(-1)!);
    const folder = new URL(".", url);
    folder.pathname = folder.pathname.replace(/(.)\/$/, "$1");
    folder.search = url.search;
    return { folder: folder.href, file };
  }
  const at = Math.max(text.lastIndexOf("/"), text.lastIndexOf("\\")) + 1;
  const folder = at === 0 ? "." : text.slice(0, Math.max(1, at - 1));
  const inRepository = /^([\w.-]+\/[\w.-]+)\/(.+)$/.exec(text);
  const isLocal = LOCAL_PATH.test(text) || folder === "." ||
    inRepository === null || await existsLocally(folder, platform);
  return isLocal
    ? { folder, file: text.slice(at) }
    : { folder: inRepository[1]!, file: inRepository[2]! };
}

function parseUrl(text: string): URL {
  try {
    return new URL(text);
  } catch (cause) {
    throw new InputError(`Cannot use "${text}" as a source: it is not a URL`, {
      cause,
    });
  }
}

async function existsLocally(
  path: string,
  platform: Platform,
): Promise<boolean> {
  try {
    return await platform.stat(path) !== "missing";
  } catch {
    // Not allowed to look (Deno without --allow-read): it may be a hub id.
    return false;
  }
}
