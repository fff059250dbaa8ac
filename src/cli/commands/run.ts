// g3n run: one prompt, one answer, as `transformers run`.
import { Command, Option } from "commander";

import {
  InputError,
  type Pipeline,
  pipeline,
  type PipelineCallOptions,
  type PipelineInput,
  type PipelineTask,
  type Streamer,
  TextStreamer,
} from "../../../mod.ts";
import { loadProgress } from "../load_progress.ts";
import {
  addModelOptions,
  collect,
  type CommandContext,
  type ModelFlags,
  number,
  wholeNumber,
} from "../options.ts";

interface RunFlags extends ModelFlags {
  readonly task?: PipelineTask;
  readonly image?: string[];
  readonly audio?: string[];
  readonly system?: string;
  readonly maxNewTokens: number;
  readonly sample?: boolean;
  readonly temperature?: number;
  readonly topK?: number;
  readonly topP?: number;
  readonly minP?: number;
  readonly repetitionPenalty?: number;
  readonly seed?: number;
  readonly stop?: string[];
  readonly json?: boolean;
}

const TASKS: readonly PipelineTask[] = [
  "text-generation",
  "image-text-to-text",
  "audio-text-to-text",
  "automatic-speech-recognition",
  "any-to-any",
];
const DEFAULT_MAX_NEW_TOKENS = 256;

/** The command. */
export function runCommand(context: CommandContext): Command {
  const command = new Command("run")
    .description("answer one prompt, given as argument or on standard input")
    .argument("[prompt]", "the text; read from standard input when left out");
  addModelOptions(command)
    .addOption(
      new Option(
        "-t, --task <name>",
        "what to do (default: by the media given)",
      )
        .choices(TASKS),
    )
    .option(
      "-i, --image <file>",
      "picture, path or URL; may be repeated",
      collect,
    )
    .option("-a, --audio <file>", "clip, path or URL; may be repeated", collect)
    .option("-s, --system <text>", "system message")
    .option(
      "-n, --max-new-tokens <count>",
      "most tokens of the answer",
      wholeNumber,
      DEFAULT_MAX_NEW_TOKENS,
    )
    .option("--sample", "sample; implied by the options that follow")
    .option("--temperature <value>", "above 0; higher is more varied", number)
    .option("--top-k <count>", "sample from the likeliest tokens", wholeNumber)
    .option("--top-p <share>", "sample from tokens of this probability", number)
    .option("--min-p <share>", "sample from tokens this likely", number)
    .option(
      "--seed <number>",
      "the same seed gives the same answer",
      wholeNumber,
    )
    .option("--repetition-penalty <value>", "above 1 avoids repetition", number)
    .option("--stop <text>", "ends the answer; may be repeated", collect)
    .option("--json", "print the answer and its figures as one line of JSON")
    .addHelpText("after", EXAMPLES)
    .action((prompt: string | undefined, flags: RunFlags) =>
      run(context, prompt, flags)
    );
  return command;
}

const EXAMPLES = `
Examples:
  echo "The capital of France is" | g3n run --model DIR
  g3n run --model DIR --image cat.png "What is in this picture?"
  g3n run --model DIR --task automatic-speech-recognition --audio speech.wav`;

async function run(
  { terminal, signal }: CommandContext,
  prompt: string | undefined,
  flags: RunFlags,
): Promise<void> {
  const task = flags.task ?? taskByMedia(flags);
  const text = await readPrompt({ terminal, signal }, prompt, task);
  const { onProgress, done } = loadProgress(terminal);
  const { model, device, dtype, contextLength, revision } = flags;
  await using pipe = await pipeline(task, model, {
    device,
    dtype,
    contextLength,
    revision,
    maxBatchSize: 1,
    onProgress,
    signal,
    onWarning: (warning) => void terminal.writeError(`g3n: ${warning}\n`),
  }).finally(done);
  const options = callOptions(flags, signal);
  const input = pipelineInput(task, text, flags);
  await (flags.json
    ? printJson(terminal, pipe, input, options)
    : printText(terminal, pipe, input, options));
}

function taskByMedia({ image = [], audio = [] }: RunFlags): PipelineTask {
  if (image.length > 0 && audio.length > 0) return "any-to-any";
  if (image.length > 0) return "image-text-to-text";
  return audio.length > 0 ? "audio-text-to-text" : "text-generation";
}

async function readPrompt(
  { terminal }: CommandContext,
  prompt: string | undefined,
  task: PipelineTask,
): Promise<string> {
  if (prompt !== undefined) return prompt;
  if (task === "automatic-speech-recognition") return "";
  if (terminal.isTerminal("stdin")) {
    await terminal.writeError("Type the prompt, then Ctrl-D on a new line:\n");
  }
  // `echo` ends its line; a prompt that ends in a newline is another prompt.
  const text = (await terminal.readStdin()).replace(/\r?\n$/, "");
  if (text === "") {
    throw new InputError(
      "Cannot answer an empty prompt; pass it as argument or on standard input",
    );
  }
  return text;
}

function pipelineInput(
  task: PipelineTask,
  text: string,
  { image, audio }: RunFlags,
): PipelineInput {
  if (task === "automatic-speech-recognition") {
    if (audio?.length !== 1) {
      throw new InputError(
        `Cannot transcribe ${audio?.length ?? 0} clips: pass one with --audio`,
      );
    }
    return { audio };
  }
  if (image === undefined && audio === undefined) return text;
  return { text, images: image, audio };
}

function callOptions(
  flags: RunFlags,
  signal: AbortSignal,
): PipelineCallOptions {
  const { temperature, topK, topP, minP, seed } = flags;
  const sampling = { temperature, topK, topP, minP, seed };
  const asked = Object.values(sampling).some((value) => value !== undefined);
  return {
    ...sampling,
    doSample: flags.sample || asked ? true : undefined,
    maxNewTokens: flags.maxNewTokens,
    repetitionPenalty: flags.repetitionPenalty,
    stopStrings: flags.stop,
    system: flags.system,
    signal,
  };
}

async function printText(
  terminal: CommandContext["terminal"],
  pipe: Pipeline,
  input: PipelineInput,
  options: PipelineCallOptions,
): Promise<void> {
  let writing = Promise.resolve();
  const streamer = new TextStreamer(pipe.processor, {
    skipPrompt: true,
    skipSpecialTokens: true,
    onText: (text) => {
      writing = writing.then(() => terminal.write(text));
    },
  });
  try {
    await pipe(input, { ...options, streamer });
  } finally {
    await writing;
    await terminal.write("\n");
  }
}

async function printJson(
  terminal: CommandContext["terminal"],
  pipe: Pipeline,
  input: PipelineInput,
  options: PipelineCallOptions,
): Promise<void> {
  const counter = new TokenCounter();
  const [result] = await pipe(input, { ...options, streamer: counter });
  const { generatedText, finishReason } = result!;
  const line = {
    generatedText,
    finishReason,
    promptTokens: counter.promptTokens,
    newTokens: counter.newTokens,
    seconds: counter.seconds,
    tokensPerSecond: counter.tokensPerSecond,
  };
  await terminal.write(`${JSON.stringify(line)}\n`);
}

/** Counts and times the tokens of one sequence. */
class TokenCounter implements Streamer {
  promptTokens = 0;
  newTokens = 0;
  #start = 0;
  #first = 0;
  #last = 0;

  put(ids: Int32Array): void {
    const now = performance.now();
    if (this.#start === 0) {
      this.#start = now;
      this.promptTokens = ids.length;
      return;
    }
    if (this.newTokens === 0) this.#first = now;
    this.newTokens += ids.length;
    this.#last = now;
  }

  end(): void {}

  /** From the start of the prefill to the last token. */
  get seconds(): number {
    return (this.#last - this.#start) / 1000;
  }

  /** Of decoding alone; `null` with fewer than two new tokens. */
  get tokensPerSecond(): number | null {
    const seconds = (this.#last - this.#first) / 1000;
    return seconds > 0 ? (this.newTokens - 1) / seconds : null;
  }
}
