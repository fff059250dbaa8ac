// Loading a model for a command: how far it has come on one line of a person's
// terminal, and warnings.
import {
  type LoadProgress,
  type Pipeline,
  pipeline,
  type PipelineTask,
} from "../../mod.ts";
import type { CommandContext } from "./context.ts";
import type { ModelFlags } from "./options.ts";

const BAR_LENGTH = 24;
/** Between two drawings of the line. */
const REDRAW_MS = 80;
const CLEAR_LINE = "\r\x1b[K";

/** Loads what the flags name. */
export async function loadPipeline(
  { terminal, errors, signal }: CommandContext,
  task: PipelineTask,
  { model, revision, device, dtype, threads, contextLength }: ModelFlags,
): Promise<Pipeline> {
  const line = new ProgressLine(
    terminal.isTerminal("stderr") ? (text) => errors.write(text) : undefined,
  );
  try {
    return await pipeline(task, model, {
      revision,
      device,
      dtype,
      threads,
      contextLength,
      maxBatchSize: 1,
      signal,
      onProgress: (progress) => line.show(progress),
      onWarning: (warning) => {
        line.clear();
        errors.write(`g3n: ${warning}\n`);
      },
    });
  } finally {
    line.clear();
  }
}

/** Shows how far loading has come; nothing without `write`. */
class ProgressLine {
  readonly #write: ((text: string) => void) | undefined;
  readonly #start = performance.now();
  #drawn = -Infinity;
  #visible = false;

  constructor(write: ((text: string) => void) | undefined) {
    this.#write = write;
  }

  show(progress: LoadProgress): void {
    const now = performance.now();
    if (this.#write === undefined || now - this.#drawn < REDRAW_MS) return;
    this.#drawn = now;
    this.#visible = true;
    const seconds = (now - this.#start) / 1000;
    this.#write(`${CLEAR_LINE}${formatProgress(progress, seconds)}`);
  }

  clear(): void {
    if (this.#visible) this.#write?.(CLEAR_LINE);
    this.#visible = false;
  }
}

/** `Loading [######------]  50 %  5 of 10 MB  21 MB/s` */
export function formatProgress(
  { loadedBytes, totalBytes }: Pick<LoadProgress, "loadedBytes" | "totalBytes">,
  seconds: number,
): string {
  const done = totalBytes > 0 ? loadedBytes / totalBytes : 1;
  const filled = Math.floor(done * BAR_LENGTH);
  const bar = "#".repeat(filled).padEnd(BAR_LENGTH, "-");
  const percent = String(Math.floor(done * 100)).padStart(3);
  const megabytes = (bytes: number) => (bytes / 1e6).toFixed(0);
  const rate = seconds > 0 ? `  ${megabytes(loadedBytes / seconds)} MB/s` : "";
  return `Loading [${bar}] ${percent} %  ${megabytes(loadedBytes)} of ${
    megabytes(totalBytes)
  } MB${rate}`;
}
