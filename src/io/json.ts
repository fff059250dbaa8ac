// JSON of checkpoint files: JSON.parse, plus a check for duplicate keys, which
// it would silently resolve to the last one.
import { CheckpointError } from "../core/errors.ts";

/** A parsed JSON object. */
export type JsonObject = { readonly [key: string]: unknown };

/** Whether a parsed JSON value is an object: not null, not an array. */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * Decodes UTF-8 strictly. `bytes` may lie in shared memory.
 *
 * @throws {CheckpointError} When the bytes are not UTF-8.
 */
export function decodeUtf8(bytes: Uint8Array, file: string): string {
  try {
    // TextDecoder refuses views of shared memory, slice() copies out of it.
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes.slice());
  } catch (cause) {
    throw new CheckpointError(
      `Cannot read "${file}" as text: it is not valid UTF-8`,
      { cause, file },
    );
  }
}

/**
 * Parses a JSON object.
 *
 * @param text The JSON text.
 * @param file Name of the file, for messages.
 * @throws {CheckpointError} When it is not JSON, not an object, or an object
 * in it has a key twice.
 */
export function parseJsonObject(text: string, file: string): JsonObject {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new CheckpointError(
      `Cannot parse the JSON of "${file}": ${
        cause instanceof Error ? cause.message : String(cause)
      }`,
      { cause, file },
    );
  }
  if (!isJsonObject(value)) {
    throw new CheckpointError(
      `Cannot use the JSON of "${file}": it must be an object`,
      { file },
    );
  }
  const duplicate = findDuplicateKey(text);
  if (duplicate !== undefined) {
    throw new CheckpointError(
      `Cannot use the JSON of "${file}": the key "${duplicate}" occurs twice in one object`,
      { file },
    );
  }
  return value;
}

/** First key that occurs twice in one object; `text` must be valid JSON. */
function findDuplicateKey(text: string): string | undefined {
  const seen: Set<string>[] = [];
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    if (c === "{" || c === "[") seen.push(new Set());
    else if (c === "}" || c === "]") seen.pop();
    else if (c === '"') {
      const end = stringEnd(text, i);
      if (isKey(text, end)) {
        const key: string = JSON.parse(text.slice(i, end));
        const keys = seen.at(-1);
        if (keys?.has(key)) return key;
        keys?.add(key);
      }
      i = end - 1;
    }
  }
  return undefined;
}

/** Index after the closing quote of the string that begins at `start`. */
function stringEnd(text: string, start: number): number {
  let i = start + 1;
  while (i < text.length && text[i] !== '"') i += text[i] === "\\" ? 2 : 1;
  return i + 1;
}

/** Whether a colon follows. */
function isKey(text: string, after: number): boolean {
  let i = after;
  while (i < text.length && " \t\n\r".includes(text[i]!)) i++;
  return text[i] === ":";
}
