// g3n convert: a checkpoint to GGUF files.
import { Command, Option } from "commander";

import { type ComputeDtype, convertToGguf } from "../../../mod.ts";
import type { CommandContext } from "../context.ts";

interface ConvertFlags {
  readonly model: string;
  readonly out: string;
  readonly dtype: ComputeDtype;
  readonly towers: boolean;
  readonly force?: boolean;
  readonly revision?: string;
}

/** Between two drawings of the progress. */
const REDRAW_MS = 80;

const EXAMPLES = `
Examples:
  g3n convert --model DIR --out model-q4.gguf
  g3n convert --model DIR --out model-q8.gguf --dtype q8`;

/** The command. */
export function convertCommand(context: CommandContext): Command {
  return new Command("convert")
    .description(
      "write a checkpoint as GGUF: the decoder, also for llama.cpp, and the towers in a file mmproj-NAME beside it",
    )
    .optionsGroup("Model:")
    .requiredOption(
      "-m, --model <source>",
      "directory or URL of a checkpoint, GGUF file, or hub id",
    )
    .option("--revision <name>", "branch, tag or commit on the hub")
    .optionsGroup("Output:")
    .requiredOption("-o, --out <file>", "the decoder's file")
    .option("--no-towers", "leave out what pictures and sound need")
    .addOption(
      new Option("--to <format>", "format of the file").choices(["gguf"])
        .default("gguf"),
    )
    .addOption(
      new Option("--dtype <name>", "number format of most weights")
        .choices(["q4", "q8", "f16", "f32"]).default("q4"),
    )
    .option("--force", "replace files that are there")
    .addHelpText("after", EXAMPLES)
    .action((flags: ConvertFlags) => convert(context, flags));
}

async function convert(
  { terminal, output, errors, signal }: CommandContext,
  { model, out, dtype, towers, force, revision }: ConvertFlags,
): Promise<void> {
  const isWatched = terminal.isTerminal("stderr");
  let drawn = 0;
  try {
    const decoder = await convertToGguf(model, out, {
      dtype,
      towers,
      overwrite: force,
      revision,
      signal,
      onProgress({ writtenBytes, totalBytes, tensor }) {
        const now = performance.now();
        if (!isWatched || now - drawn < REDRAW_MS) return;
        drawn = now;
        const percent = Math.floor(100 * writtenBytes / totalBytes);
        errors.showStatus(
          `Writing ${percent} % of ${megabytes(totalBytes)}  ${tensor}`,
        );
      },
    });
    for (const file of [decoder, decoder.towers]) {
      if (file === undefined) continue;
      const { path, tensors, bytes } = file;
      output.write(`${path}: ${tensors} tensors, ${megabytes(bytes)}\n`);
    }
  } finally {
    errors.clearStatus();
  }
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
