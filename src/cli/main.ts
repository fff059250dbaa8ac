// The table of commands, and what they have in common: help, errors in one
// line, exit codes.
import { Command, CommanderError } from "commander";

import type { Terminal } from "../platform/terminal.ts";
import { infoCommand } from "./commands/info.ts";
import { runCommand } from "./commands/run.ts";
import { VERSION } from "./version.ts";

/** Exit codes. */
export const EXIT_OK = 0;
/** Something failed; standard error says what. */
export const EXIT_FAILURE = 1;
/** The arguments cannot be used. */
export const EXIT_USAGE = 2;
/** Ctrl-C, as shells count it. */
export const EXIT_INTERRUPTED = 130;

/** Runs what the terminal's arguments say and gives the exit code. */
export async function runCommandLine(terminal: Terminal): Promise<number> {
  const pending: string[] = [];
  const errors: string[] = [];
  const controller = new AbortController();
  const stopListening = terminal.onInterrupt(() => controller.abort());
  const context = { terminal, signal: controller.signal };
  const program = new Command("g3n")
    .description(
      "Gemma 3n on this machine: text, pictures and sound in, text out",
    )
    .version(VERSION)
    .showHelpAfterError("(g3n --help lists the commands and options)")
    .exitOverride()
    .configureOutput({
      writeOut: (text) => pending.push(text),
      writeErr: (text) => errors.push(text),
    });
  program.addCommand(inherit(program, runCommand(context)));
  program.addCommand(inherit(program, infoCommand(context)));
  try {
    await program.parseAsync([...terminal.args], { from: "user" });
    return EXIT_OK;
  } catch (error) {
    if (error instanceof CommanderError) {
      return error.exitCode === 0 ? EXIT_OK : EXIT_USAGE;
    }
    if (controller.signal.aborted) return EXIT_INTERRUPTED;
    errors.push(`g3n: ${describeError(error)}\n`);
    return EXIT_FAILURE;
  } finally {
    stopListening();
    await terminal.write(pending.join(""));
    await terminal.writeError(errors.join(""));
  }
}

// exitOverride and the streams do not pass on to commands added later.
function inherit(program: Command, command: Command): Command {
  return command.copyInheritedSettings(program);
}

function describeError(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
