// Node's platform. Its modules are fetched through process, not imported, so
// that bundlers for browsers do not look for them. Deno and Bun offer the same
// modules and build on what is here.
import { UnsupportedError } from "../core/errors.ts";
import type {
  Platform,
  PlatformFile,
  PlatformFileWriter,
  PlatformWorker,
  WorkerEvents,
} from "./platform.ts";
import type { PromptResult, Terminal } from "./terminal.ts";

/** Whether this is Node, or a runtime that passes for it. */
export function isNode(): boolean {
  const { process } = globalThis as { process?: Partial<NodeJS.Process> };
  return typeof process?.versions?.node === "string" &&
    globalThis.navigator?.userAgent !== "Cloudflare-Workers";
}

/** Makes the platform of Node 20.16 and later. */
export function createNodePlatform(): Platform {
  const { env } = nodeProcess();
  const { availableParallelism } = nodeProcess().getBuiltinModule("node:os");
  return {
    name: "node",
    openFile: openNodeFile,
    createFile: createNodeFile,
    stat: statNodePath,
    fetch: (input, init) => globalThis.fetch(input, init),
    yieldToEventLoop: () => new Promise((resolve) => setImmediate(resolve)),
    now: () => performance.now(),
    availableParallelism: availableParallelism(),
    startWorker: startNodeWorker,
    gpu: importGpu,
    env: (name) => env[name],
  };
}

/** The package that gives Node and Bun a GPU; optional, so no name that bundlers find. */
const GPU_PACKAGE = "webgpu";
/** Kept for good: its threads crash once it is collected. */
let gpu: GPU | undefined;

async function importGpu(): Promise<GPU | undefined> {
  if (globalThis.navigator?.gpu) return navigator.gpu;
  if (gpu) return gpu;
  let found: { readonly create: (options: string[]) => GPU };
  try {
    found = await import(GPU_PACKAGE);
  } catch (error) {
    const { code } = error as { readonly code?: string };
    if (code === "ERR_MODULE_NOT_FOUND") return undefined;
    throw error;
  }
  return gpu = found.create([]);
}

function nodeProcess(): NodeJS.Process {
  const { process } = globalThis;
  if (process.getBuiltinModule === undefined) {
    throw new UnsupportedError(
      `Cannot use Node ${process.versions.node}: update it to 20.16 or later`,
    );
  }
  return process;
}

/** Largest single read: the system call takes less than 2 GiB. */
const MAX_READ_BYTES = 2 ** 30;

/** {@link Platform.openFile} by node:fs, which Deno and Bun have too. */
export async function openNodeFile(path: string): Promise<PlatformFile> {
  const { open } = nodeProcess().getBuiltinModule("node:fs/promises");
  const handle = await open(path, "r");
  const { size } = await handle.stat();
  return {
    size,
    async read(offset, length, into = new Uint8Array(length)) {
      let filled = 0;
      while (filled < length) {
        const wanted = Math.min(length - filled, MAX_READ_BYTES);
        const at = offset + filled;
        const { bytesRead } = await handle.read(into, filled, wanted, at);
        if (bytesRead === 0) break;
        filled += bytesRead;
      }
      return into.subarray(0, filled);
    },
    close: () => handle.close(),
  };
}

/** {@link Platform.createFile} by node:fs; unfinished, the file ends in `.part`. */
export async function createNodeFile(
  path: string,
): Promise<PlatformFileWriter> {
  const fs = nodeProcess().getBuiltinModule("node:fs/promises");
  const unfinished = `${path}.part`;
  const handle = await fs.open(unfinished, "w");
  return {
    async write(bytes) {
      let written = 0;
      while (written < bytes.byteLength) {
        const { bytesWritten } = await handle.write(bytes, written);
        written += bytesWritten;
      }
    },
    async finish() {
      await handle.close();
      await fs.rename(unfinished, path);
    },
    async discard() {
      await handle.close();
      await fs.rm(unfinished, { force: true });
    },
  };
}

/** {@link Platform.stat} by node:fs. */
export async function statNodePath(
  path: string,
): Promise<"file" | "directory" | "missing"> {
  const { stat } = nodeProcess().getBuiltinModule("node:fs/promises");
  try {
    return (await stat(path)).isDirectory() ? "directory" : "file";
  } catch (error) {
    const { code } = error as { code?: string };
    if (code === "ENOENT" || code === "ENOTDIR") return "missing";
    throw error;
  }
}

/**
 * {@link Platform.startWorker} by node:worker_threads. Deno's own workers would
 * keep the process alive, and hang its end while they sleep in WebAssembly.
 */
export function startNodeWorker(
  source: string,
  data: unknown,
  { onMessage, onEnd }: WorkerEvents,
): PlatformWorker {
  const { Worker } = nodeProcess().getBuiltinModule("node:worker_threads");
  const script =
    'import { parentPort, workerData } from "node:worker_threads";' +
    `(${source})(workerData, (message) => parentPort.postMessage(message));`;
  // No file: a package may lie behind an address, or in a bundle.
  const url = new URL(`data:text/javascript,${encodeURIComponent(script)}`);
  const worker = new Worker(url, { workerData: data, execArgv: [] });
  let terminated = false;
  const end = (reason: string) => {
    if (!terminated) onEnd(reason);
  };
  worker.on("message", onMessage);
  worker.on("error", (error) => end(String(error)));
  worker.on("exit", () => end("it has ended"));
  worker.unref();
  return {
    async terminate() {
      terminated = true;
      await worker.terminate();
    },
  };
}

/** Makes the terminal of Node, Deno and Bun. */
export function createNodeTerminal(): Terminal {
  const process = nodeProcess();
  const { isatty } = process.getBuiltinModule("node:tty");
  const descriptors = { stdin: 0, stdout: 1, stderr: 2 };
  return {
    args: process.argv.slice(2),
    async readStdin() {
      let text = "";
      for await (const part of textParts(process.stdin)) text += part;
      return text;
    },
    lines: () => splitLines(textParts(process.stdin)),
    prompt: createPrompt(process),
    write: (text) => writeTo(process.stdout, text),
    writeError: (text) => writeTo(process.stderr, text),
    isTerminal: (stream) => isatty(descriptors[stream]),
    exit: (code) => process.exit(code),
    onInterrupt(handler) {
      process.on("SIGINT", handler);
      return () => void process.off("SIGINT", handler);
    },
  };
}

/** Lines that the arrow keys bring back. */
const HISTORY_SIZE = 200;

function createPrompt(process: NodeJS.Process): Terminal["prompt"] {
  const { createInterface } = process.getBuiltinModule("node:readline");
  const history: string[] = [];
  // A paste may bring several lines, and the beginning of another.
  const pasted: string[] = [];
  let begun = "";
  const ask = (question: string) =>
    new Promise<PromptResult>((resolve) => {
      const editor = createInterface({
        input: process.stdin,
        output: process.stderr,
        terminal: true,
        history: [...history],
        historySize: HISTORY_SIZE,
        prompt: question,
      });
      let result: PromptResult = { kind: "end" };
      // Closing puts the terminal back, so that Ctrl-C is a signal again.
      editor.on("close", () => resolve(result));
      editor.on("SIGINT", () => {
        result = { kind: "interrupt" };
        editor.close();
      });
      editor.on("line", (text) => {
        if (result.kind === "line") return void pasted.push(text);
        result = { kind: "line", text };
        setImmediate(() => {
          begun = editor.line;
          editor.close();
        });
      });
      editor.prompt();
      editor.write(begun);
      begun = "";
    });
  return async (question) => {
    const text = pasted.shift();
    const result: PromptResult = text === undefined
      ? await ask(question)
      : { kind: "line", text };
    if (result.kind === "line" && result.text.trim() !== "") {
      history.unshift(result.text);
      history.length = Math.min(history.length, HISTORY_SIZE);
    }
    return result;
  };
}

async function* textParts(
  stream: AsyncIterable<Uint8Array | string>,
): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  for await (const part of stream) {
    yield typeof part === "string"
      ? part
      : decoder.decode(part, { stream: true });
  }
  yield decoder.decode();
}

async function* splitLines(
  parts: AsyncIterable<string>,
): AsyncGenerator<string> {
  let rest = "";
  for await (const part of parts) {
    const lines = (rest + part).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) yield line.replace(/\r$/, "");
  }
  if (rest !== "") yield rest;
}

/** The side of a writable stream that is used here. */
interface TextSink {
  write(text: string, done: (error?: Error | null) => void): unknown;
  once(event: "error", listener: (error: Error) => void): unknown;
  off(event: "error", listener: (error: Error) => void): unknown;
}

function writeTo(stream: TextSink, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    // Without a listener a closed pipe would end the process from outside.
    stream.once("error", reject);
    stream.write(text, (error) => {
      if (error) return reject(error);
      stream.off("error", reject);
      resolve();
    });
  });
}
