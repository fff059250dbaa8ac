// Conversations as users write them: checked, and taken apart into what the
// chat template sees and the media it stands for.
import { InputError } from "../core/errors.ts";
import type { AudioSource, ImageSource } from "./media.ts";

/** Who speaks. */
export type Role = "system" | "user" | "assistant";

/** Text within a message. */
export interface TextPart {
  /** Tells the kind of part. */
  readonly type: "text";
  /** The text. */
  readonly text: string;
}

/** A picture within a message; without `image` and `url` only a placeholder. */
export interface ImagePart {
  /** Tells the kind of part. */
  readonly type: "image";
  /** The picture, or its URL or path. */
  readonly image?: ImageSource | undefined;
  /** Its URL or path. */
  readonly url?: string | URL | undefined;
}

/** A clip within a message; without `audio` and `url` only a placeholder. */
export interface AudioPart {
  /** Tells the kind of part. */
  readonly type: "audio";
  /** The clip, or its URL or path. */
  readonly audio?: AudioSource | undefined;
  /** Its URL or path. */
  readonly url?: string | URL | undefined;
}

/** A part of a message. */
export type ContentPart = TextPart | ImagePart | AudioPart;

/** One turn of a conversation. */
export interface Message {
  /** Who speaks. */
  readonly role: Role;
  /** A text, or parts in their order. */
  readonly content: string | readonly ContentPart[];
}

/** A message without its media, as a chat template sees it. */
export interface TemplateMessage {
  /** Who speaks. */
  readonly role: string;
  /** A text, or parts in their order. */
  readonly content: string | readonly { type: string; text?: string }[];
}

/** A checked conversation. */
export interface Conversation {
  /** The messages without their media. */
  readonly messages: readonly TemplateMessage[];
  /** Pictures in the order of their placeholders. */
  readonly images: readonly ImageSource[];
  /** Clips in the order of their placeholders. */
  readonly audio: readonly AudioSource[];
}

/** Whether messages are a list of conversations rather than one. */
export function isBatch(
  messages: readonly Message[] | readonly (readonly Message[])[],
): messages is readonly (readonly Message[])[] {
  return Array.isArray(messages) && Array.isArray(messages[0]);
}

/**
 * Checks a conversation and collects its media.
 *
 * @throws {InputError} When it is empty, or a role, content or part is none
 * that exists.
 */
export function readConversation(messages: readonly Message[]): Conversation {
  if (!Array.isArray(messages) || messages.length === 0) {
    throw new InputError(
      "Cannot apply the chat template: the conversation is not a list with at least one message",
    );
  }
  const images: ImageSource[] = [];
  const audio: AudioSource[] = [];
  const seen = messages.map((message, i): TemplateMessage => {
    const { role, content } = checkMessage(message, `message ${i}`);
    if (typeof content === "string") return { role, content };
    const parts = content.map((part, j) => {
      const where = `part ${j} of message ${i}`;
      checkPart(part, where);
      if (part.type === "text") return { type: "text", text: part.text };
      if (part.type === "image") {
        const image = part.image ?? part.url;
        if (image !== undefined) images.push(image);
      } else {
        const clip = part.audio ?? part.url;
        if (clip !== undefined) audio.push(clip);
      }
      return { type: part.type };
    });
    return { role, content: parts };
  });
  return { messages: seen, images, audio };
}

function checkMessage(message: Message, where: string): Message {
  const { role, content }: { role?: unknown; content?: unknown } = message ??
    {};
  if (role !== "system" && role !== "user" && role !== "assistant") {
    throw new InputError(
      `Cannot use ${where}: its role is ${
        quote(role)
      }, wanted "system", "user" or "assistant"`,
    );
  }
  if (typeof content !== "string" && !Array.isArray(content)) {
    throw new InputError(
      `Cannot use ${where}: its content is neither a string nor a list of parts`,
    );
  }
  return message;
}

function checkPart(part: ContentPart, where: string): void {
  const fields: { type?: unknown; text?: unknown } = part ?? {};
  if (!["text", "image", "audio"].includes(fields.type as string)) {
    throw new InputError(
      `Cannot use ${where}: its type is ${
        quote(fields.type)
      }, wanted "text", "image" or "audio"`,
    );
  }
  if (fields.type === "text" && typeof fields.text !== "string") {
    throw new InputError(
      `Cannot use ${where}: its text is not a string`,
    );
  }
}

function quote(value: unknown): string {
  return value === undefined ? "missing" : JSON.stringify(value) ?? "unusable";
}
