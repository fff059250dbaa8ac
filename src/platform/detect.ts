// Which runtime this is.
import { UnsupportedError } from "../core/errors.ts";
import { createBrowserPlatform } from "./browser.ts";
import { createBunPlatform, isBun } from "./bun.ts";
import { createDenoPlatform, isDeno } from "./deno.ts";
import { createNodePlatform, createNodeTerminal, isNode } from "./node.ts";
import type { Platform } from "./platform.ts";
import type { Terminal } from "./terminal.ts";

let platform: Platform | undefined;
let terminal: Terminal | undefined;

/**
 * The platform of this runtime; the same one each time.
 *
 * @throws {UnsupportedError} When the runtime is too old.
 */
export function detectPlatform(): Promise<Platform> {
  return Promise.resolve().then(() => platform ??= pickPlatform());
}

// Deno and Bun also have what Node is known by, so Node comes after them.
function pickPlatform(): Platform {
  if (isDeno()) return createDenoPlatform();
  if (isBun()) return createBunPlatform();
  if (isNode()) return createNodePlatform();
  return createBrowserPlatform();
}

/**
 * The terminal of this runtime; the same one each time.
 *
 * @throws {UnsupportedError} Where there are no standard streams.
 */
export function detectTerminal(): Promise<Terminal> {
  return Promise.resolve().then(() => terminal ??= pickTerminal());
}

function pickTerminal(): Terminal {
  if (isDeno() || isBun() || isNode()) return createNodeTerminal();
  throw new UnsupportedError(
    "Cannot use a terminal here: run the command line in Deno, Bun or Node",
  );
}
