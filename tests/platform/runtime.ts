// Which runtime runs the tests, told independently of src/platform, and how to
// start it again with a script.
import { spawn } from "node:child_process";
import process from "node:process";

/** Name of the runtime, by what it reports as its versions. */
export function runtimeName(): "deno" | "bun" | "node" {
  const versions = process.versions as Record<string, string | undefined>;
  if (versions["deno"] !== undefined) return "deno";
  return versions["bun"] === undefined ? "node" : "bun";
}

const FLAGS = {
  deno: ["run", "--no-check", "--allow-read"],
  bun: [],
  node: ["--import", "tsx"],
};

/** The command that runs a TypeScript file in the same runtime. */
export function scriptCommand(
  path: string,
  args: readonly string[],
  denoFlags: readonly string[] = [],
): string[] {
  const runtime = runtimeName();
  const rights = runtime === "deno" ? denoFlags : [];
  return [process.execPath, ...FLAGS[runtime], ...rights, path, ...args];
}

/** What a script did. */
export interface ScriptResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Beside the input of {@link runScript}. */
export interface ScriptOptions {
  /** Rights that Deno grants besides reading. */
  readonly denoFlags?: readonly string[];
  /** Sees the process when it has started. */
  readonly onStart?: (child: ReturnType<typeof spawn>) => void;
}

/**
 * Runs a TypeScript file in the same runtime. Deno grants it nothing but
 * reading. `onStdout` sees each piece of output as it comes.
 */
export function runScript(
  path: string,
  args: readonly string[],
  input: string | Uint8Array,
  onStdout: (text: string, child: ReturnType<typeof spawn>) => void = () => {},
  { denoFlags = [], onStart }: ScriptOptions = {},
): Promise<ScriptResult> {
  const [program, ...command] = scriptCommand(path, args, denoFlags);
  const child = spawn(program!, command);
  onStart?.(child);
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (data) => {
    stdout += data;
    onStdout(String(data), child);
  });
  child.stderr.on("data", (data) => stderr += data);
  child.stdin.end(input);
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, stdout, stderr }));
  });
}
