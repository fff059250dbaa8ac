// g3n run: one prompt, one answer, as `transformers run`.
import { Command, Option } from "commander";

import {
  type Pipeline,
  type PipelineCallOptions,
  type PipelineInput,
  type PipelineTask,
  TextStreamer,
} from "../../../mod.ts";
import { type CommandContext, untilAborted, UsageError } from "../context.ts";
import {
  addGenerationOptions,
  generationConfig,
  type GenerationFlags,
} from "../generation_options.ts";
import { loadPipeline } from "../load_model.ts";
import { addModelOptions, collect, type ModelFlags } from "../options.ts";
import { TokenCounter } from "../token_counter.ts";

interface RunFlags extends ModelFlags, GenerationFlags {
  readonly task?: PipelineTask;
  readonly image?: string[];
  readonly audio?: string[];
  readonly system?: string;
  readonly json?: boolean;
}

const TASKS: readonly PipelineTask[] = [
  "text-generation",
  "image-text-to-text",
  "audio-text-to-text",
  "automatic-speech-recognition",
  "any-to-any",
];

const EXAMPLES = `
Without a picture, a clip or a system message the text is continued as it
stands; with one of them, or with --task any-to-any, it is answered.

Examples:
  g3n run --image examples/data/cat.png "What is in this picture?"
  echo "The capital of France is" | g3n run --model DIR
  g3n run --model DIR --image cat.png "What is in this picture?"
  g3n run --model DIR --image a.png --image b.png "What has changed?"
  g3n run --model DIR --task automatic-speech-recognition --audio speech.wav
  g3n run --model DIR --temperature 0.8 --top-p 0.95 --seed 1 "Once upon a time"
  g3n run --model DIR --json "Hello" | jq .tokensPerSecond`;

/** The command. */
export function runCommand(context: CommandContext): Command {
  const command = new Command("run")
    .description("answer one prompt, given as argument or on standard input")
    .argument("[prompt]", "the text; read from standard input when left out");
  addModelOptions(command)
    .optionsGroup("Input:")
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
    .option("-s, --system <text>", "system message");
  return addGenerationOptions(command)
    .optionsGroup("Output:")
    .option("--json", "print the answer and its figures as one line of JSON")
    .addHelpText("after", EXAMPLES)
    .action((prompt: string | undefined, flags: RunFlags) =>
      run(context, prompt, flags)
    );
}

async function run(
  context: CommandContext,
  prompt: string | undefined,
  flags: RunFlags,
): Promise<void> {
  const task = flags.task ?? taskByMedia(flags);
  const input = await readInput(context, prompt, task, flags);
  await using pipe = await loadPipeline(context, task, flags);
  const options = {
    ...generationConfig(flags),
    system: flags.system,
    signal: context.signal,
  };
  await (flags.json ? printJson : printText)(context, pipe, input, options);
}

function taskByMedia({ image = [], audio = [] }: RunFlags): PipelineTask {
  if (image.length > 0 && audio.length > 0) return "any-to-any";
  if (image.length > 0) return "image-text-to-text";
  return audio.length > 0 ? "audio-text-to-text" : "text-generation";
}

async function readInput(
  context: CommandContext,
  prompt: string | undefined,
  task: PipelineTask,
  { image, audio }: RunFlags,
): Promise<PipelineInput> {
  if (task === "automatic-speech-recognition") {
    if (audio?.length !== 1) {
      throw new UsageError(
        `Cannot transcribe ${audio?.length ?? 0} clips: pass one with --audio`,
      );
    }
    return { audio };
  }
  const text = prompt ?? await readPrompt(context);
  if (text === "") {
    throw new UsageError(
      "Cannot answer an empty prompt: pass it as argument or on standard input",
    );
  }
  if (image === undefined && audio === undefined) return text;
  return { text, images: image, audio };
}

async function readPrompt(
  { terminal, errors, signal }: CommandContext,
): Promise<string> {
  if (terminal.isTerminal("stdin")) {
    errors.write("Type the prompt, then Ctrl-D on a new line:\n");
  }
  const text = await untilAborted(signal, terminal.readStdin());
  // `echo` ends its line; a prompt that ends in a newline is another prompt.
  return text.replace(/\r?\n$/, "");
}

async function printText(
  { output }: CommandContext,
  pipe: Pipeline,
  input: PipelineInput,
  options: PipelineCallOptions,
): Promise<void> {
  let started = false;
  const streamer = new TextStreamer(pipe.processor, {
    skipPrompt: true,
    skipSpecialTokens: true,
    onText: (text) => {
      started = true;
      output.write(text);
    },
  });
  try {
    await pipe(input, { ...options, streamer });
    started = true;
  } finally {
    // An answer that was cut short leaves the shell's prompt its own line, too.
    if (started) output.write("\n");
  }
}

async function printJson(
  { output }: CommandContext,
  pipe: Pipeline,
  input: PipelineInput,
  options: PipelineCallOptions,
): Promise<void> {
  const counter = new TokenCounter();
  const [result] = await pipe(input, { ...options, streamer: counter });
  const { generatedText, finishReason } = result!;
  const line = { generatedText, finishReason, ...counter.figures() };
  output.write(`${JSON.stringify(line)}\n`);
}
