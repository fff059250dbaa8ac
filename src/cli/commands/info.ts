// g3n info: what a checkpoint is, the memory it takes, and where it would
// compute.
import { Command } from "commander";

import { modelInfo } from "../../../mod.ts";
import type { CommandContext } from "../context.ts";
import { formatInfo } from "../model_table.ts";
import { addModelOptions, type ModelFlags, modelOptions } from "../options.ts";

interface InfoFlags extends ModelFlags {
  readonly json?: boolean;
}

const EXAMPLES = `
Only the headers of the files are read, also over the network.

Examples:
  g3n info --model DIR
  g3n info --device webgpu
  g3n info --model google/gemma-3n-E2B-it --json | jq .parameters`;

/** The command. */
export function infoCommand(context: CommandContext): Command {
  const command = new Command("info")
    .description(
      "show what a checkpoint is, what it takes to run it, and the GPU if it would run on one",
    );
  return addModelOptions(command)
    .optionsGroup("Output:")
    .option("--json", "print it as JSON, with the whole configuration")
    .addHelpText("after", EXAMPLES)
    .action((flags: InfoFlags) => info(context, flags));
}

async function info(
  { output, errors, signal }: CommandContext,
  flags: InfoFlags,
): Promise<void> {
  const found = await modelInfo(flags.model, {
    ...modelOptions(flags),
    signal,
    onWarning: (warning) => errors.write(`g3n: ${warning}\n`),
  });
  output.write(
    flags.json ? `${JSON.stringify(found, null, 2)}\n` : formatInfo(found),
  );
}
