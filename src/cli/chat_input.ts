// What a person, or a pipe, says in a chat: lines joined to turns.
import { type CommandContext, untilAborted } from "./context.ts";

/** Where the turns of a chat come from. */
export interface ChatInput {
  /** Whether a person types them. */
  readonly interactive: boolean;
  /** The next turn; `undefined` when there are no more. */
  next(): Promise<string | undefined>;
}

const QUESTION = "> ";
const CONTINUED = "... ";

/**
 * Reads turns: lines of a person at a terminal, else of standard input. A line
 * that ends with a backslash goes on in the next one.
 */
export function openChatInput(context: CommandContext): ChatInput {
  const { terminal } = context;
  const interactive = terminal.isTerminal("stdin") &&
    terminal.isTerminal("stderr");
  const nextLine = interactive ? promptedLines(context) : pipedLines(context);
  return {
    interactive,
    async next() {
      let turn = "";
      while (true) {
        const line = await nextLine(turn === "" ? QUESTION : CONTINUED);
        if (line === undefined) return turn === "" ? undefined : turn;
        if (line === DROPPED) {
          turn = "";
          continue;
        }
        if (!line.endsWith("\\")) return turn + line;
        turn += `${line.slice(0, -1)}\n`;
      }
    },
  };
}

/** What was begun is given up. */
const DROPPED = Symbol("dropped");

type NextLine = (
  question: string,
) => Promise<string | undefined | typeof DROPPED>;

function promptedLines(context: CommandContext): NextLine {
  const { terminal, errors, signal } = context;
  let interrupted = false;
  return async (question) => {
    errors.clearStatus();
    await errors.flush();
    const result = await terminal.prompt(question);
    if (result.kind === "line") {
      interrupted = false;
      return result.text;
    }
    errors.write("\n");
    if (result.kind === "end") return undefined;
    if (interrupted) {
      context.interrupt();
      signal.throwIfAborted();
    }
    interrupted = true;
    errors.write("(Ctrl-C once more, Ctrl-D or /exit leaves)\n");
    return DROPPED;
  };
}

function pipedLines({ terminal, signal }: CommandContext): NextLine {
  const lines = terminal.lines();
  return async () => {
    const { done, value } = await untilAborted(signal, lines.next());
    return done ? undefined : value;
  };
}
