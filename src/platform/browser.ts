// The platform of browsers, their workers and other runtimes that offer web
// standards alone. There are no local files; callers pass Blobs or addresses.
import { UnsupportedError } from "../core/errors.ts";
import type { Platform, PlatformWorker, WorkerEvents } from "./platform.ts";

/** Makes the platform of browsers. */
export function createBrowserPlatform(): Platform {
  return {
    name: "browser",
    openFile: (path) =>
      Promise.reject(
        new UnsupportedError(
          `Cannot open the local file "${path}" here: pass an https: address, or an object that opens files by name`,
        ),
      ),
    stat: () => Promise.resolve("missing"),
    fetch: (input, init) => globalThis.fetch(input, init),
    yieldToEventLoop,
    now: () => performance.now(),
    availableParallelism: globalThis.navigator?.hardwareConcurrency ?? 1,
    gpu: () => Promise.resolve(globalThis.navigator?.gpu),
    env: () => undefined,
    ...("Worker" in globalThis ? { startWorker } : {}),
  };
}

/** A blob's address, unlike a data: address, may share memory with the page. */
function startWorker(
  source: string,
  data: unknown,
  { onMessage, onEnd }: WorkerEvents,
): PlatformWorker {
  const script =
    `self.onmessage = ({ data }) => (${source})(data, (message) => postMessage(message));`;
  const blob = new Blob([script], { type: "text/javascript" });
  const url = URL.createObjectURL(blob);
  const worker = new Worker(url, { type: "module" });
  worker.onmessage = ({ data }) => {
    URL.revokeObjectURL(url);
    onMessage(data);
  };
  worker.onerror = (event) => {
    event.preventDefault(); // it is told to the caller
    onEnd(event.message || "it cannot start");
  };
  worker.postMessage(data);
  return {
    terminate() {
      worker.onerror = null;
      worker.terminate();
      return Promise.resolve();
    },
  };
}

/**
 * A message to oneself: no 4 ms clamp as timers have. `scheduler.yield()` would
 * come back before timers and starve them.
 */
function yieldToEventLoop(): Promise<void> {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close(); // an open port keeps a process alive
      resolve();
    };
    port2.postMessage(undefined);
  });
}
