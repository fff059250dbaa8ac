// Bounds of the machine as an engine:
//   bounds_engine.ts THREADS
import process from "node:process";
import { detectPlatform } from "../../src/platform/detect.ts";
import { serve } from "./engine_protocol.ts";
import { startThreadBounds } from "./thread_bounds.ts";

const threads = Number(process.argv[2]);
const bounds = await startThreadBounds(await detectPlatform(), threads);
await serve({
  readRate: () => bounds.readRate(),
  dotRate: () => bounds.dotRate(),
  kernelRate: () => bounds.kernelRate(),
});
process.exit(0);
