// What the pipelines take, brought into one form.
import { InputError } from "../core/errors.ts";
import type {
  AudioSource,
  DecodedAudio,
  ImageSource,
} from "../processing/media.ts";
import type { ContentPart, Message } from "../processing/messages.ts";

/** What a pipeline does. */
export type PipelineTask =
  | "text-generation"
  | "image-text-to-text"
  | "audio-text-to-text"
  | "automatic-speech-recognition"
  | "any-to-any";

/** A question with its pictures and clips, which come before the text. */
export interface TextWithMedia {
  /** The question. */
  readonly text?: string | undefined;
  /** Pictures: bytes, decoded, or named by URL or path. */
  readonly images?: ImageSource | readonly ImageSource[] | undefined;
  /** Clips: bytes, samples, or named by URL or path. */
  readonly audio?: AudioSource | readonly AudioSource[] | undefined;
}

/**
 * A text, a conversation, or a question with media. For
 * `automatic-speech-recognition` a text is the URL or path of a clip, which may
 * also be bytes or samples.
 */
export type PipelineInput =
  | string
  | URL
  | Uint8Array
  | ArrayBuffer
  | Float32Array
  | DecodedAudio
  | Blob
  | TextWithMedia
  | readonly Message[];

/** Options that shape the prompt. */
export interface PromptOptions {
  /** A system message, put before the conversation. */
  readonly system?: string | undefined;
  /** `automatic-speech-recognition`: what is asked of the clip. Default "Transcribe the audio." */
  readonly prompt?: string | undefined;
}

/** An input as a conversation; a text to continue has its text beside it. */
export interface Conversation {
  readonly messages: readonly Message[];
  /** Set where the text is continued as it stands, without a chat template. */
  readonly rawText: string | undefined;
}

const TASKS: readonly PipelineTask[] = [
  "text-generation",
  "image-text-to-text",
  "audio-text-to-text",
  "automatic-speech-recognition",
  "any-to-any",
];
const TRANSCRIBE = "Transcribe the audio.";

/**
 * Checks the name of a task.
 *
 * @throws {InputError} When there is no such task.
 */
export function checkTask(task: string): void {
  if ((TASKS as readonly string[]).includes(task)) return;
  throw new InputError(
    `Cannot run the task "${task}": the tasks are ${
      TASKS.map((name) => `"${name}"`).join(", ")
    }`,
  );
}

/**
 * Tells one input from several and brings each into one form.
 *
 * @throws {InputError} For an input that is none.
 */
export function readInput(
  task: PipelineTask,
  input: PipelineInput | readonly PipelineInput[],
  options: PromptOptions,
): { conversations: Conversation[]; isBatch: boolean } {
  if (Array.isArray(input) && input.length === 0) {
    throw new InputError(
      "Cannot answer an empty list; pass at least one input",
    );
  }
  const isBatch = Array.isArray(input) && !isMessages(input);
  const inputs = (isBatch ? input : [input]) as readonly PipelineInput[];
  return {
    conversations: inputs.map((one) => conversation(task, one, options)),
    isBatch,
  };
}

function isMessages(
  input: readonly unknown[],
): input is readonly Message[] {
  const first = input[0];
  return typeof first === "object" && first !== null && "role" in first;
}

function conversation(
  task: PipelineTask,
  input: PipelineInput,
  options: PromptOptions,
): Conversation {
  if (task === "automatic-speech-recognition" && !isMessageList(input)) {
    const given = isTextWithMedia(input)
      ? input
      : { audio: input as AudioSource | null | undefined ?? undefined };
    if (list<AudioSource>(given.audio).length === 0) {
      throw new InputError("Cannot transcribe the input: it has no audio");
    }
    const text = options.prompt ?? TRANSCRIBE;
    return withSystem([userMessage({ text, ...given })], options);
  }
  if (typeof input === "string") {
    const message: Message = { role: "user", content: input };
    if (task !== "text-generation") return withSystem([message], options);
    if (options.system === undefined) {
      return { messages: [message], rawText: input };
    }
    return withSystem([message], options);
  }
  if (isMessageList(input)) return withSystem(input, options);
  if (isTextWithMedia(input)) return withSystem([userMessage(input)], options);
  throw new InputError(
    `Cannot use the input for "${task}": wanted a text, a list of messages, or an object with text, images or audio`,
  );
}

function isMessageList(input: PipelineInput): input is readonly Message[] {
  return Array.isArray(input);
}

function isTextWithMedia(input: PipelineInput): input is TextWithMedia {
  return typeof input === "object" && input !== null &&
    ("text" in input && typeof input.text !== "function" ||
      "images" in input || "audio" in input);
}

function withSystem(
  messages: readonly Message[],
  { system }: PromptOptions,
): Conversation {
  const all: readonly Message[] = system === undefined
    ? messages
    : [{ role: "system", content: system }, ...messages];
  return { messages: all, rawText: undefined };
}

function userMessage({ text, images, audio }: TextWithMedia): Message {
  const content: ContentPart[] = [
    ...list(images).map((image) => ({ type: "image" as const, image })),
    ...list(audio).map((clip) => ({ type: "audio" as const, audio: clip })),
    ...(text === undefined ? [] : [{ type: "text" as const, text }]),
  ];
  return { role: "user", content };
}

function list<T>(value: T | readonly T[] | undefined): readonly T[] {
  if (value === undefined) return [];
  return Array.isArray(value) ? value : [value as T];
}
