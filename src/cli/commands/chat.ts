// g3n chat: a conversation at the terminal, or over a pipe.
import { Command } from "commander";

import type { ContentPart } from "../../../mod.ts";
import { mediaLoader } from "../../api/media_loading.ts";
import { detectPlatform } from "../../platform/detect.ts";
import { CHAT_HELP, type ChatLine, parseChatLine } from "../chat_commands.ts";
import { type ChatInput, openChatInput } from "../chat_input.ts";
import { type ChatAnswer, ChatSession } from "../chat_session.ts";
import { type CommandContext, UsageError } from "../context.ts";
import {
  addGenerationOptions,
  generationConfig,
  type GenerationFlags,
} from "../generation_options.ts";
import { loadPipeline } from "../load_model.ts";
import { addModelOptions, type ModelFlags } from "../options.ts";

interface ChatFlags extends ModelFlags, GenerationFlags {
  readonly system?: string;
  readonly json?: boolean;
}

const EXAMPLES = `
In the chat:
${CHAT_HELP.replace(/^(?=.)/gm, "  ").trimEnd()}

Over a pipe each line is a message or one of these commands; nothing but the
answers goes to standard output, and the first error ends the chat.

Examples:
  g3n chat
  g3n chat --model DIR --system "Answer in one sentence." --temperature 0.7
  printf '%s\\n' "/image cat.png" "What is this?" "And its age?" | g3n chat --model DIR --json`;

/** The command. */
export function chatCommand(context: CommandContext): Command {
  const command = new Command("chat")
    .description("talk with the model; it remembers what was said");
  addModelOptions(command)
    .optionsGroup("Input:")
    .option("-s, --system <text>", "system message");
  return addGenerationOptions(command)
    .optionsGroup("Output:")
    .option("--json", "print each answer and its figures as a line of JSON")
    .addHelpText("after", EXAMPLES)
    .action((flags: ChatFlags) => chat(context, flags));
}

async function chat(context: CommandContext, flags: ChatFlags): Promise<void> {
  const { errors, signal } = context;
  const input = openChatInput(context);
  await using pipe = await loadPipeline(context, "any-to-any", flags);
  const note = (text: string) => errors.write(`(${text})\n`);
  using session = new ChatSession(pipe.model, pipe.processor, {
    system: flags.system,
    onNote: note,
  });
  if (input.interactive) note("/help lists the commands, Ctrl-D leaves");
  const loop = new ChatLoop(context, input, session, flags);
  while (await loop.turn()) {
    signal.throwIfAborted();
  }
}

class ChatLoop {
  readonly #context: CommandContext;
  readonly #input: ChatInput;
  readonly #session: ChatSession;
  readonly #flags: ChatFlags;
  /** Media for the next message. */
  #attached: ContentPart[] = [];

  constructor(
    context: CommandContext,
    input: ChatInput,
    session: ChatSession,
    flags: ChatFlags,
  ) {
    this.#context = context;
    this.#input = input;
    this.#session = session;
    this.#flags = flags;
  }

  /** Reads and does one thing; `false` when the chat is over. */
  async turn(): Promise<boolean> {
    const text = await this.#input.next();
    if (text === undefined) return false;
    const line = parseChatLine(text);
    if (line.kind === "exit") return false;
    try {
      await this.#do(line);
    } catch (error) {
      const { signal, errors } = this.#context;
      // A script must hear of it; a person can try something else.
      if (!this.#input.interactive || signal.aborted) throw error;
      errors.write(`g3n: ${(error as Error).message}\n`);
    }
    return true;
  }

  async #do(line: ChatLine): Promise<void> {
    const { errors } = this.#context;
    switch (line.kind) {
      case "wrong":
        throw new UsageError(line.problem);
      case "help":
        return errors.write(CHAT_HELP);
      case "image":
      case "audio":
        return await this.#attach(line.kind, line.argument);
      case "system":
        this.#session.setSystem(line.argument || undefined);
        return this.#startOver();
      case "reset":
        this.#session.reset();
        return this.#startOver();
      case "message":
        return await this.#say(line.text);
    }
  }

  #startOver(): void {
    this.#attached = [];
    this.#note("starting over");
  }

  async #attach(kind: "image" | "audio", reference: string): Promise<void> {
    // Read now, so that a wrong name is told now, and later turns need no file.
    const bytes = await mediaLoader(await detectPlatform())(reference);
    this.#attached.push(
      kind === "image"
        ? { type: "image", image: bytes }
        : { type: "audio", audio: bytes },
    );
    this.#note(`${reference} goes with the next message`);
  }

  async #say(text: string): Promise<void> {
    if (text.trim() === "" && this.#attached.length === 0) return;
    const { output } = this.#context;
    const { json } = this.#flags;
    const content: ContentPart[] = [...this.#attached, { type: "text", text }];
    this.#attached = [];
    let written = false;
    const answer = await this.#answer(content, (piece) => {
      written = true;
      if (!json) output.write(piece);
    });
    if (json) output.write(`${JSON.stringify(answer)}\n`);
    else if (written || answer.finishReason !== "interrupted") {
      output.write("\n");
    }
    await output.flush();
    if (answer.finishReason === "length") {
      this.#note(
        `cut after ${answer.newTokens} tokens; --max-new-tokens allows more`,
      );
    }
  }

  async #answer(
    content: readonly ContentPart[],
    onText: (text: string) => void,
  ): Promise<ChatAnswer> {
    const { signal, takeInterrupts } = this.#context;
    const stop = new AbortController();
    const giveBack = this.#input.interactive
      ? takeInterrupts(() => stop.abort())
      : () => {};
    try {
      return await this.#session.answer(content, {
        generation: {
          ...generationConfig(this.#flags),
          maxNewTokens: this.#flags.maxNewTokens,
        },
        onText,
        signal: AbortSignal.any([signal, stop.signal]),
      });
    } finally {
      giveBack();
    }
  }

  /** Says what a person should know; a pipe hears nothing. */
  #note(text: string): void {
    if (this.#input.interactive) this.#context.errors.write(`(${text})\n`);
  }
}
