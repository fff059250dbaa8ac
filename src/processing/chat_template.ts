// Conversations to prompts, as Transformers' apply_chat_template renders them.
import { Template } from "@huggingface/jinja";
import { CheckpointError, InputError } from "../core/errors.ts";
import { isJsonObject } from "../core/json.ts";
import type { TemplateMessage } from "./messages.ts";
import type { SpecialTokens } from "./tokenizer_config.ts";

/** Options of {@link ChatTemplate.render}. */
export interface RenderOptions {
  /** Whether to end with the header of an answer. Default: false. */
  readonly addGenerationPrompt?: boolean | undefined;
  /**
   * Whether to leave the last message open, for the model to go on with it.
   * Default: false.
   */
  readonly continueFinalMessage?: boolean | undefined;
  /** Descriptions of tools (JSON schemas), for templates that know tools. */
  readonly tools?: readonly unknown[] | undefined;
  /** Further variables of the template; they win over special tokens. */
  readonly variables?: Readonly<Record<string, unknown>> | undefined;
}

/** The files of a checkpoint that may hold its chat template. */
export interface ChatTemplateFiles {
  /** Text of chat_template.jinja. */
  readonly jinja?: string | undefined;
  /** Parsed chat_template.json or processor_config.json. */
  readonly json?: unknown;
  /** Parsed tokenizer_config.json. */
  readonly tokenizerConfig?: unknown;
}

// Marks the place where the last message ends.
const FINAL_MESSAGE_TAG = "CONTINUE_FINAL_MESSAGE_TAG ";

/** Finds the template of a checkpoint, `undefined` where it has none. */
export function findChatTemplate(files: ChatTemplateFiles): string | undefined {
  if (files.jinja !== undefined) return files.jinja;
  return defaultTemplate(files.json) ?? defaultTemplate(files.tokenizerConfig);
}

/** `chat_template`, or the one named "default" among several. */
function defaultTemplate(json: unknown): string | undefined {
  const template = isJsonObject(json) ? json["chat_template"] : undefined;
  if (typeof template === "string") return template;
  const named: unknown = Array.isArray(template)
    ? template.find((entry: unknown) =>
      isJsonObject(entry) && entry["name"] === "default"
    )?.template
    : isJsonObject(template)
    ? template["default"]
    : undefined;
  return typeof named === "string" ? named : undefined;
}

/**
 * A compiled chat template.
 *
 * @example
 * ```ts
 * import { ChatTemplate } from "@g3n/core";
 *
 * const template = new ChatTemplate(
 *   "{{ bos_token }}{% for m in messages %}{{ m.role }}: {{ m.content }}{% endfor %}",
 *   { bos_token: "<bos>" },
 * );
 * console.log(template.render([{ role: "user", content: "Hi" }])); // <bos>user: Hi
 * ```
 */
export class ChatTemplate {
  readonly #template: Template;
  readonly #specialTokens: SpecialTokens;

  /**
   * Compiles a Jinja template. `specialTokens` become its variables, e.g.
   * `bos_token`.
   *
   * @throws {CheckpointError} When it cannot be parsed.
   */
  constructor(source: string, specialTokens: SpecialTokens) {
    try {
      this.#template = new Template(source);
    } catch (cause) {
      throw new CheckpointError(
        `Cannot parse the chat template: ${messageOf(cause)}`,
        { cause },
      );
    }
    this.#specialTokens = specialTokens;
  }

  /**
   * The prompt of a conversation; media are one placeholder each.
   *
   * @throws {InputError} When the template rejects the conversation (its own
   * message is in the error), or the final message cannot be continued.
   */
  render(
    messages: readonly TemplateMessage[],
    options: RenderOptions = {},
  ): string {
    const { addGenerationPrompt = false, continueFinalMessage = false } =
      options;
    if (!continueFinalMessage) {
      return this.#run(messages, options, addGenerationPrompt);
    }
    if (addGenerationPrompt) {
      throw new InputError(
        'Cannot apply the chat template: "continueFinalMessage" and "addGenerationPrompt" exclude each other; set one of them',
      );
    }
    return cutAtTag(this.#run(tagFinalMessage(messages), options, false));
  }

  #run(
    messages: readonly TemplateMessage[],
    options: RenderOptions,
    addGenerationPrompt: boolean,
  ): string {
    try {
      const rendered = this.#template.render({
        ...this.#specialTokens,
        ...options.variables,
        messages: messages.map(hideByteOrderMarks),
        tools: options.tools ?? null,
        documents: options.variables?.["documents"] ?? null,
        add_generation_prompt: addGenerationPrompt,
      });
      return rendered.replaceAll(HIDDEN_MARK, BYTE_ORDER_MARK);
    } catch (cause) {
      throw new InputError(
        `Cannot apply the chat template: ${messageOf(cause)}`,
        { cause },
      );
    }
  }
}

// Templates trim texts. Python keeps byte order marks there, JavaScript's
// trim() takes them for spaces: a character that Unicode reserves for such
// purposes stands in for them.
const BYTE_ORDER_MARK = "\ufeff";
const HIDDEN_MARK = "\ufdd0";

function hideByteOrderMarks(message: TemplateMessage): TemplateMessage {
  const hide = (text: string) => text.replaceAll(BYTE_ORDER_MARK, HIDDEN_MARK);
  const { content } = message;
  return {
    ...message,
    content: typeof content === "string"
      ? hide(content)
      : content.map((part) =>
        part.text === undefined ? part : { ...part, text: hide(part.text) }
      ),
  };
}

function tagFinalMessage(
  messages: readonly TemplateMessage[],
): TemplateMessage[] {
  const final = messages.at(-1)!;
  if (typeof final.content === "string") {
    const content = final.content + FINAL_MESSAGE_TAG;
    return [...messages.slice(0, -1), { ...final, content }];
  }
  const parts = [...final.content];
  for (let i = parts.length - 1; i >= 0; i--) {
    const part = parts[i]!;
    if (part.text === undefined) continue;
    parts[i] = { ...part, text: part.text + FINAL_MESSAGE_TAG };
    return [...messages.slice(0, -1), { ...final, content: parts }];
  }
  throw new InputError(
    "Cannot continue the final message: it has no text",
  );
}

function cutAtTag(rendered: string): string {
  const at = rendered.lastIndexOf(FINAL_MESSAGE_TAG.trim());
  if (at < 0) {
    throw new InputError(
      "Cannot continue the final message: the chat template leaves it out",
    );
  }
  const before = rendered.slice(0, at);
  // A trimmed tag means that the template would have trimmed the text itself.
  return rendered.startsWith(FINAL_MESSAGE_TAG, at) ? before : before.trimEnd();
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
