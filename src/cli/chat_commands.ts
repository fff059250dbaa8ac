// The commands of a chat: lines that begin with a slash.

/** What a line says: a message, or a command with its argument. */
export type ChatLine =
  | { readonly kind: "message"; readonly text: string }
  | {
    readonly kind: "image" | "audio" | "system";
    readonly argument: string;
  }
  | { readonly kind: "reset" | "help" | "exit" }
  | { readonly kind: "wrong"; readonly problem: string };

/** What `/help` prints. */
export const CHAT_HELP =
  `/image FILE    attach a picture (path or URL) to the next message
/audio FILE    attach a clip (path or URL) to the next message
/system TEXT   start over with this system message; without a text, with none
/reset         start over: forget the conversation and what is attached
/help          print this
/exit          leave, as does Ctrl-D

A line that ends with a backslash goes on in the next one. A message that
begins with a slash is written with two. Ctrl-C stops an answer.
`;

const WITH_FILE = ["image", "audio"];
const WITHOUT_ARGUMENT = ["reset", "help", "exit"];

/** Tells messages from commands. */
export function parseChatLine(line: string): ChatLine {
  if (!line.startsWith("/")) return { kind: "message", text: line };
  if (line.startsWith("//")) return { kind: "message", text: line.slice(1) };
  const [, name = "", rest = ""] = /^\/(\S*)\s*([\s\S]*)$/.exec(line) ?? [];
  const argument = rest.trim();
  if (name === "system") return { kind: "system", argument };
  if (WITH_FILE.includes(name)) {
    return argument === ""
      ? wrong(`Cannot attach nothing: write /${name} FILE`)
      : { kind: name as "image" | "audio", argument };
  }
  if (WITHOUT_ARGUMENT.includes(name)) {
    return argument === ""
      ? { kind: name as "reset" | "help" | "exit" }
      : wrong(`Cannot use "${argument}": /${name} stands alone`);
  }
  return wrong(
    `Cannot run "/${name}": there is no such command, /help lists them`,
  );
}

function wrong(problem: string): ChatLine {
  return { kind: "wrong", problem };
}
