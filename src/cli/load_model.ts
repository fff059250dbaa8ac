// Loading a model for a command: how far it has come on one line of a person's
// terminal, and warnings.
import {
  type PartProgress,
  type Pipeline,
  pipeline,
  type PipelineTask,
} from "../../mod.ts";
import type { CommandContext } from "./context.ts";
import { type ModelFlags, modelOptions } from "./options.ts";
import type { Output } from "./output.ts";

const BAR_LENGTH = 24;
/** Between two drawings of the line. */
const REDRAW_MS = 80;

/** Loads what the flags name; a tower is loaded when it is first used. */
export async function loadPipeline(
  { terminal, errors, signal }: CommandContext,
  task: PipelineTask,
  flags: ModelFlags,
): Promise<Pipeline> {
  try {
    return await pipeline(task, flags.model, {
      ...modelOptions(flags),
      signal,
      ...(terminal.isTerminal("stderr") &&
        { onProgress: showProgress(errors) }),
      onWarning: (warning) => errors.write(`g3n: ${warning}\n`),
    });
  } finally {
    errors.clearStatus();
  }
}

function showProgress(errors: Output): (progress: PartProgress) => void {
  let part: PartProgress["part"] | undefined;
  let start = 0;
  let drawn = 0;
  return (progress) => {
    const now = performance.now();
    if (progress.part !== part) {
      part = progress.part;
      start = now;
    }
    if (progress.loadedBytes >= progress.totalBytes) {
      errors.clearStatus();
    } else if (now - drawn >= REDRAW_MS) {
      drawn = now;
      errors.showStatus(formatProgress(progress, (now - start) / 1000));
    }
  };
}

/** `Loading text [######------]  50 %  5 of 10 MB  21 MB/s` */
export function formatProgress(
  { part, loadedBytes, totalBytes }: Pick<
    PartProgress,
    "loadedBytes" | "part" | "totalBytes"
  >,
  seconds: number,
): string {
  const done = totalBytes > 0 ? loadedBytes / totalBytes : 1;
  const filled = Math.floor(done * BAR_LENGTH);
  const bar = "#".repeat(filled).padEnd(BAR_LENGTH, "-");
  const percent = String(Math.floor(done * 100)).padStart(3);
  const megabytes = (bytes: number) =>
    (bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0);
  const rate = seconds > 0 ? `  ${megabytes(loadedBytes / seconds)} MB/s` : "";
  return `Loading ${part} [${bar}] ${percent} %  ${megabytes(loadedBytes)} of ${
    megabytes(totalBytes)
  } MB${rate}`;
}
