// Threads for tests, which make hundreds of devices: one whose script has ended
// runs the next one, instead of being started anew.
import { Worker } from "node:worker_threads";
import type { PlatformWorker, WorkerEvents } from "../src/platform/platform.ts";

/** Longest time a script may take to end when it is to. */
const END_LIMIT_MS = 1000;

const SCRIPT = `
import { parentPort } from "node:worker_threads";
parentPort.on("message", async ({ source, data }) => {
  const run = (0, eval)(source);
  await run(data, (posted) => parentPort.postMessage({ posted }));
  parentPort.postMessage({ ended: true });
});`;

type Reply = { readonly posted: unknown } | { readonly ended: true };

/** A thread, and who hears from it. */
interface Thread {
  readonly worker: Worker;
  onReply: (reply: Reply) => void;
}

const idle: Thread[] = [];

/** As `Platform.startWorker`. */
export function startReusedWorker(
  source: string,
  data: unknown,
  { onMessage, onEnd }: WorkerEvents,
): PlatformWorker {
  const thread = idle.pop() ?? startThread();
  let markEnded: () => void;
  const ended = new Promise<void>((resolve) => markEnded = resolve);
  let terminated = false;
  thread.onReply = (reply) => {
    if ("posted" in reply) return onMessage(reply.posted);
    markEnded();
    if (!terminated) onEnd("it has ended");
  };
  thread.worker.postMessage({ source, data });
  return {
    async terminate() {
      terminated = true;
      if (await inTime(ended)) idle.push(thread);
      else await thread.worker.terminate();
    },
  };
}

function startThread(): Thread {
  const url = new URL(`data:text/javascript,${encodeURIComponent(SCRIPT)}`);
  const worker = new Worker(url, { execArgv: [] });
  const thread: Thread = { worker, onReply: () => {} };
  worker.on("message", (reply: Reply) => thread.onReply(reply));
  worker.unref();
  return thread;
}

async function inTime(ended: Promise<void>): Promise<boolean> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<false>((resolve) => {
    timer = setTimeout(() => resolve(false), END_LIMIT_MS);
  });
  try {
    return await Promise.race([ended.then(() => true), late]);
  } finally {
    clearTimeout(timer);
  }
}
