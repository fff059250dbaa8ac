// g3n info: what a checkpoint is, and the memory it takes.
import { Command } from "commander";

import { type ModelInfo, modelInfo } from "../../../mod.ts";
import type { CommandContext } from "../context.ts";
import { addModelOptions, type ModelFlags } from "../options.ts";

interface InfoFlags extends ModelFlags {
  readonly json?: boolean;
}

const EXAMPLES = `
Only the headers of the files are read, also over the network.

Examples:
  g3n info --model DIR
  g3n info --model google/gemma-3n-E2B-it --json | jq .parameters`;

/** What a 32-bit address reaches. */
const MAX_WASM_BYTES = 2 ** 32;

/** The command. */
export function infoCommand(context: CommandContext): Command {
  const command = new Command("info")
    .description("show what a checkpoint is and what it takes to run it");
  return addModelOptions(command)
    .optionsGroup("Output:")
    .option("--json", "print it as JSON, with the whole configuration")
    .addHelpText("after", EXAMPLES)
    .action((flags: InfoFlags) => info(context, flags));
}

async function info(
  { output, errors, signal }: CommandContext,
  { json, model, device, dtype, contextLength, revision }: InfoFlags,
): Promise<void> {
  const found = await modelInfo(model, {
    device,
    dtype,
    contextLength,
    revision,
    maxBatchSize: 1,
    signal,
    onWarning: (warning) => errors.write(`g3n: ${warning}\n`),
  });
  output.write(
    json ? `${JSON.stringify(found, null, 2)}\n` : formatInfo(found),
  );
}

function formatInfo(info: ModelInfo): string {
  const { textConfig: text, visionConfig: vision, audioConfig: audio } =
    info.config;
  const shared = text.numKvSharedLayers;
  const sparse = text.activationSparsityPattern.filter((s) => s > 0).length;
  const stored = Object.entries(info.storedBytes).map(([dtype, bytes]) =>
    `${dtype} ${megabytes(bytes)}`
  );
  const { weights, kv, activations } = info.memory;
  const total = weights + kv + activations;
  const rows: readonly (readonly [string, string])[] = [
    ["Source", info.source],
    ["Parameters", `${millions(info.parameters)} in ${info.tensors} tensors`],
    ["Stored", stored.join(", ")],
    [
      "Decoder",
      `${text.numHiddenLayers} layers (${shared} share keys and values, ${sparse} sparse), hidden size ${text.hiddenSize}, vocabulary ${text.vocabSize}`,
    ],
    [
      "Pictures",
      vision ? `${vision.msfaOutputResolution ** 2} tokens each` : "no",
    ],
    [
      "Sound",
      audio ? `${info.config.audioSoftTokensPerImage} tokens a clip` : "no",
    ],
    [
      "Context",
      `${info.contextLength} of ${text.maxPositionEmbeddings} tokens`,
    ],
    [
      "Memory",
      `${megabytes(total)} for text in ${info.dtype}: weights ${
        megabytes(weights)
      }, cache ${megabytes(kv)}, a step ${megabytes(activations)}`,
    ],
    ...(total > MAX_WASM_BYTES
      ? [["", "which is more than the 4 GiB of a WebAssembly memory"] as const]
      : []),
  ];
  return rows.map(([name, value]) => `${name.padEnd(12)}${value}\n`).join("");
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

function millions(count: number): string {
  return `${(count / 1e6).toFixed(1)} M`;
}
