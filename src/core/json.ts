// Parsed JSON: the files beside a checkpoint's weights, and the headers in them.
import { CheckpointError } from "./errors.ts";

/** Any parsed JSON value. */
export type Json =
  | null
  | boolean
  | number
  | string
  | readonly Json[]
  | { readonly [key: string]: Json };

/** A JSON object. */
export type JsonObject = { readonly [key: string]: Json };

/** Whether a value of parsed JSON is an object: not null, not an array. */
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
 * @throws {CheckpointError} When it is not JSON, or not an object.
 */
export function parseJsonObject(text: string, file: string): JsonObject {
  let value: Json;
  try {
    value = JSON.parse(text) as Json;
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
      `Cannot use the JSON of "${file}": it is ${
        describeJson(value)
      }, not an object`,
      { file },
    );
  }
  return value;
}

/**
 * Parses a JSON object that must not name a thing twice, which `JSON.parse`
 * would silently resolve to the last one.
 *
 * @throws {CheckpointError} As {@link parseJsonObject}, and when an object in
 * it has a key twice.
 */
export function parseUniqueJsonObject(text: string, file: string): JsonObject {
  const value = parseJsonObject(text, file);
  const duplicate = findDuplicateKey(text);
  if (duplicate !== undefined) {
    throw new CheckpointError(
      `Cannot use the JSON of "${file}": the key "${duplicate}" occurs twice in one object`,
      { file },
    );
  }
  return value;
}

/** Spells a value for messages, cut short. */
export function describeJson(value: Json): string {
  const text = JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 60)}...` : text;
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
