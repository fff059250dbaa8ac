// Bun's platform: Node's, by another name.
import type { Platform } from "./platform.ts";
import { createNodePlatform } from "./node.ts";

/** Whether this is Bun. */
export function isBun(): boolean {
  return "Bun" in globalThis;
}

/** Makes the platform of Bun. */
export function createBunPlatform(): Platform {
  return { ...createNodePlatform(), name: "bun" };
}
