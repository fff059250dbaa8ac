// Runs the steps of the gate, two at a time, and prints a line for each.
import {
  addCounts,
  countResults,
  type Counts,
  type Runner,
} from "./step_results.ts";

/** A command and how to read its outcome. */
export interface Step {
  readonly name: string;
  readonly runner: Runner;
  readonly command: readonly string[];
  /** Folder to run in, below the repository. */
  readonly folder?: string;
  /** Variables beside those of this process. */
  readonly env?: Readonly<Record<string, string>>;
  /** Steps that name the same resource do not run at once. */
  readonly resource?: string;
}

const ROOT = new URL("../", import.meta.url);
const LANES = 2;
/** A step that takes longer hangs. */
const TIMEOUT_MS = 40 * 60_000;

/**
 * Runs steps, each as soon as a lane and its resource are free, and adds up
 * what they came to. The output of a step that fails is printed in full.
 */
export async function runSteps(steps: readonly Step[]): Promise<Counts> {
  const waiting = [...steps];
  const busy = new Set<string>();
  const counts: Counts[] = [];
  const running = new Set<Promise<void>>();
  while (waiting.length > 0 || running.size > 0) {
    const next = waiting.findIndex(({ resource }) =>
      resource === undefined || !busy.has(resource)
    );
    if (next < 0 || running.size === LANES) {
      await Promise.race(running);
      continue;
    }
    const [step] = waiting.splice(next, 1);
    const { resource } = step!;
    if (resource !== undefined) busy.add(resource);
    const run = runStep(step!).then((result) => {
      counts.push(result);
      running.delete(run);
      if (resource !== undefined) busy.delete(resource);
    });
    running.add(run);
  }
  return addCounts(counts);
}

async function runStep(step: Step): Promise<Counts> {
  const start = performance.now();
  const { success, output } = await runCommand(step);
  const counts = countResults(step.runner, output, success);
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  const outcome = step.runner === "check"
    ? ""
    : `  ${counts.passed} passed, ${counts.failed} failed`;
  const mark = counts.failed === 0 ? "ok    " : "FAILED";
  console.log(
    `${mark} ${step.name.padEnd(24)}${seconds.padStart(7)} s${outcome}`,
  );
  if (counts.failed > 0) {
    console.log(`$ ${step.command.join(" ")}\n${output.trimEnd()}\n`);
  }
  return counts;
}

async function runCommand(
  { command, folder = "", env = {} }: Step,
): Promise<{ success: boolean; output: string }> {
  const [program, ...args] = command;
  let child: Deno.ChildProcess;
  try {
    child = new Deno.Command(program!, {
      args,
      cwd: new URL(folder, ROOT),
      env: { NO_COLOR: "1", ...env },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
      signal: AbortSignal.timeout(TIMEOUT_MS),
    }).spawn();
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    return { success: false, output: `"${program}" is not installed` };
  }
  const parts: string[] = [];
  const [{ success, signal }] = await Promise.all([
    child.status,
    collect(child.stdout, parts),
    collect(child.stderr, parts),
  ]);
  if (signal !== null) parts.push(`\nended by ${signal}`);
  return { success, output: parts.join("") };
}

async function collect(
  stream: ReadableStream<Uint8Array<ArrayBuffer>>,
  into: string[],
): Promise<void> {
  for await (const text of stream.pipeThrough(new TextDecoderStream())) {
    into.push(text);
  }
}
