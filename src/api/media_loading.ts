// Bytes of pictures and clips that are only named: by URL, data: URL or path.
import { HubError, InputError } from "../core/errors.ts";
import { fileUrlToPath } from "../hub/local_files.ts";
import type { Platform } from "../platform/platform.ts";
import type { LoadMedia } from "../processing/media.ts";

/** Reads media by `https:`, `http:`, `data:`, `blob:` and `file:` URL, or by path. */
export function mediaLoader(platform: Platform): LoadMedia {
  return async (reference) => {
    const text = String(reference);
    if (/^(https?|data|blob):/i.test(text)) {
      return await fetchBytes(text, platform);
    }
    const path = /^file:/i.test(text) ? fileUrlToPath(new URL(text)) : text;
    return await readFile(path, platform);
  };
}

async function fetchBytes(
  url: string,
  { fetch }: Platform,
): Promise<Uint8Array> {
  // A data: URL is its own content, too long for a message.
  const name = url.length > 100 ? `${url.slice(0, 100)}...` : url;
  let response: Response;
  try {
    response = await fetch(url);
  } catch (cause) {
    throw new HubError(
      `Cannot fetch "${name}": ${(cause as Error).message}`,
      { url, cause },
    );
  }
  if (!response.ok) {
    throw new HubError(
      `Cannot fetch "${name}": the server answered ${response.status} ${response.statusText}`,
      { url, status: response.status },
    );
  }
  return new Uint8Array(await response.arrayBuffer());
}

async function readFile(
  path: string,
  platform: Platform,
): Promise<Uint8Array> {
  if (await platform.stat(path) !== "file") {
    throw new InputError(
      `Cannot read "${path}": there is no such file; give the path of a picture or clip, or its URL`,
    );
  }
  const file = await platform.openFile(path);
  try {
    return await file.read(0, file.size);
  } finally {
    await file.close();
  }
}
