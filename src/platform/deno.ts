// Deno's platform. Files go through node:fs, whose positional reads are as fast
// as Deno's own and, unlike seek and read, may run concurrently.
import type { Platform } from "./platform.ts";
import {
  createNodeFile,
  openNodeFile,
  startNodeWorker,
  statNodePath,
} from "./node.ts";

/** Whether this is Deno. */
export function isDeno(): boolean {
  return "Deno" in globalThis;
}

/** Makes the platform of Deno 2. */
export function createDenoPlatform(): Platform {
  return {
    name: "deno",
    openFile: openNodeFile,
    createFile: createNodeFile,
    stat: statNodePath,
    fetch: (input, init) => globalThis.fetch(input, init),
    yieldToEventLoop: () => new Promise((resolve) => setImmediate(resolve)),
    now: () => performance.now(),
    availableParallelism: navigator.hardwareConcurrency,
    startWorker: startNodeWorker,
    gpu: () => Promise.resolve(navigator.gpu),
    env: readEnv,
  };
}

/** Asking for a variable without permission would throw, or stop at a prompt. */
function readEnv(variable: string): string | undefined {
  const { state } = Deno.permissions.querySync({ name: "env", variable });
  return state === "granted" ? Deno.env.get(variable) : undefined;
}
