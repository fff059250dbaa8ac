// The table of commands, and what they have in common: help, errors in one
// line, exit codes.
import { Command, CommanderError } from "commander";

import type { Terminal } from "../platform/terminal.ts";
import { chatCommand } from "./commands/chat.ts";
import { convertCommand } from "./commands/convert.ts";
import { infoCommand } from "./commands/info.ts";
import { runCommand } from "./commands/run.ts";
import { type CommandContext, UsageError } from "./context.ts";
import { isClosedPipe, Output } from "./output.ts";
import { VERSION } from "./version.ts";

/** Exit codes. */
export const EXIT_OK = 0;
/** Something failed; standard error says what. */
export const EXIT_FAILURE = 1;
/** The arguments cannot be used. */
export const EXIT_USAGE = 2;
/** Ctrl-C, as shells count it. */
export const EXIT_INTERRUPTED = 130;

const EXAMPLES = `
Examples:
  echo "The capital of France is" | g3n run --model DIR
  g3n run --model DIR --image cat.png "What is in this picture?"
  g3n chat --model google/gemma-3n-E2B-it
  g3n info --model DIR
  g3n convert --model DIR --out model.gguf --dtype q8

Exit codes: 0 done, 1 failed, 2 wrong arguments, 130 stopped by Ctrl-C`;

/** Runs what the terminal's arguments say and gives the exit code. */
export async function runCommandLine(terminal: Terminal): Promise<number> {
  const controller = new AbortController();
  // Nothing is left to be done about errors that nobody reads.
  const errors = new Output((text) => terminal.writeError(text), () => {});
  const output = new Output(
    (text) => terminal.write(text),
    (error) => controller.abort(error),
  );
  const interrupts = listenForInterrupts(terminal, controller);
  const context: CommandContext = {
    terminal,
    output,
    errors,
    signal: controller.signal,
    interrupt: () => controller.abort(),
    takeInterrupts: interrupts.take,
  };
  let code = EXIT_OK;
  try {
    await createProgram(context).parseAsync([...terminal.args], {
      from: "user",
    });
  } catch (error) {
    code = report(error, context);
  }
  await output.flush();
  if (code === EXIT_OK && controller.signal.aborted) {
    code = report(controller.signal.reason, context);
  }
  errors.clearStatus();
  await errors.flush();
  interrupts.stop();
  return code;
}

function createProgram(context: CommandContext): Command {
  const { output, errors } = context;
  const program = new Command("g3n")
    .description(
      "Gemma 3n on this machine: text, pictures and sound in, text out",
    )
    .version(VERSION, "-V, --version", "print the version")
    .helpOption("-h, --help", "print this help")
    .helpCommand("help [command]", "print the help of a command")
    .addHelpText("after", EXAMPLES)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => output.write(text),
      // To find out it would read variables that Deno may not be allowed to.
      getOutHasColors: () => false,
      getErrHasColors: () => false,
      writeErr: (text) => errors.write(text.replace(/^error: /, "g3n: ")),
    });
  for (const create of [runCommand, chatCommand, infoCommand, convertCommand]) {
    const command = create(context);
    // exitOverride and the streams do not pass on to commands added later.
    program.addCommand(
      command.copyInheritedSettings(program)
        .helpOption("-h, --help", "print this help")
        .showHelpAfterError(usageHint(command.name())),
    );
  }
  return program.showHelpAfterError("(g3n --help lists the commands)");
}

function usageHint(command: string): string {
  return `(g3n ${command} --help lists the options)`;
}

function listenForInterrupts(
  terminal: Terminal,
  controller: AbortController,
): { take: CommandContext["takeInterrupts"]; stop: () => void } {
  let taken: (() => void) | undefined;
  const stop = terminal.onInterrupt(() => {
    if (taken) return taken();
    // Whoever presses it again does not want to wait for an orderly end.
    if (controller.signal.aborted) terminal.exit(EXIT_INTERRUPTED);
    controller.abort();
  });
  return {
    take(handler) {
      taken = handler;
      return () => taken = undefined;
    },
    stop,
  };
}

/** Says what went wrong, in one line, and gives the exit code. */
function report(error: unknown, { signal, errors }: CommandContext): number {
  // Commander has written its own message.
  if (error instanceof CommanderError) {
    return error.exitCode === 0 ? EXIT_OK : EXIT_USAGE;
  }
  if (signal.aborted) {
    const { reason } = signal;
    if (isClosedPipe(reason)) return EXIT_OK;
    if (reason instanceof DOMException) return EXIT_INTERRUPTED;
    errors.write(
      `g3n: Cannot write to standard output: ${describeError(reason)}\n`,
    );
    return EXIT_FAILURE;
  }
  errors.write(`g3n: ${describeError(error)}\n`);
  return error instanceof UsageError ? EXIT_USAGE : EXIT_FAILURE;
}

/** The message of an error, in one line. */
function describeError(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.replace(/\s*\n\s*/g, " ");
}
