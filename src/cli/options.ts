// Options that commands share, and the reading of numbers.
import { type Command, InvalidArgumentError } from "commander";

import type { Terminal } from "../platform/terminal.ts";

/** What every command receives. */
export interface CommandContext {
  readonly terminal: Terminal;
  /** Aborts on Ctrl-C. */
  readonly signal: AbortSignal;
}

/** Options for loading a model. */
export interface ModelFlags {
  readonly model: string;
  readonly device?: "auto" | "wasm" | "reference";
  readonly dtype?: "auto" | "f32" | "f16" | "q8" | "q4";
  readonly contextLength?: number;
  readonly revision?: string;
}

/** Adds the options for loading a model. */
export function addModelOptions(command: Command): Command {
  return command
    .requiredOption(
      "-m, --model <source>",
      "directory of a checkpoint, URL of one, or hub id (token from HF_TOKEN)",
    )
    .option("--device <name>", "auto, wasm or reference (default: auto)")
    .option("--dtype <name>", "auto or f32 (default: auto)")
    .option(
      "--context-length <tokens>",
      "most tokens of a sequence (default: the model's, at most 4096)",
      wholeNumber,
    )
    .option("--revision <name>", "branch, tag or commit on the hub");
}

/** Reads a number; anything else is a usage error. */
export function number(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value)) {
    throw new InvalidArgumentError("It is not a number.");
  }
  return value;
}

/** Reads a whole number of at least 0; anything else is a usage error. */
export function wholeNumber(text: string): number {
  const value = number(text);
  if (!Number.isSafeInteger(value) || value < 0) {
    throw new InvalidArgumentError("It is not a whole number of at least 0.");
  }
  return value;
}

/** Collects the values of an option that may be repeated. */
export function collect(text: string, before: string[] = []): string[] {
  return [...before, text];
}
