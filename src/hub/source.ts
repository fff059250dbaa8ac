// From what a user passes as `source` to the model's files.
import { InputError } from "../core/errors.ts";
import type { ModelFiles } from "../io/model_files.ts";
import type { Platform } from "../platform/platform.ts";
import { httpFiles } from "./http_files.ts";
import { hubFiles, type HubOptions } from "./hub_files.ts";
import { fileUrlToPath, localFiles } from "./local_files.ts";
import { type FileOpener, openedFiles } from "./opened_files.ts";

/**
 * Where a model is: a hub id (`org/name`), a local directory, a `file:` or
 * `https:` URL of a folder, or an object that opens files by name.
 */
export type ModelSource = string | URL | FileOpener;

/**
 * Finds the files of a model.
 *
 * A string is a URL when it has such a scheme, a path when it begins with `/`,
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
    return openedFiles(source);
  }
  const text = String(source);
  if (/^(https?|file):/i.test(text)) {
    const url = parseUrl(text);
    if (url.protocol === "file:") {
      return await localFiles(fileUrlToPath(url), platform);
    }
    const { signal, retryDelayMs } = options;
    return httpFiles(url, { fetch: platform.fetch, signal, retryDelayMs });
  }
  if (/^(\.{0,2}[/\\]|\.{1,2}$|[A-Za-z]:[/\\])/.test(text)) {
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
