// Memory of a decoder at its size: with a full context, and while a checkpoint
// in bfloat16 is quantised as it loads.
import { mkdirSync } from "node:fs";
import { modelInfo } from "../../mod.ts";
import { parseGemma3nConfig } from "../../src/models/gemma3n/config.ts";
import { PER_LAYER_TABLE } from "../../src/models/gemma3n/text_weights.ts";
import type { Platform } from "../../src/platform/platform.ts";
import { table } from "../results_page.ts";
import { decoderShapes } from "./checkpoint_shapes.ts";
import type { EngineProcess } from "./engine_protocol.ts";
import { decoderConfig, type ModelSize } from "./make_gguf.ts";
import type { Figures } from "./measure.ts";
import { writeCheckpoint } from "./write_checkpoint.ts";

/** Context that is filled. */
export const FULL_CONTEXT = 8192;
const DECODE_TOKENS = 8;
const MEGABYTE = 1e6;

/** Engines that are measured, by what their rows are called. */
export interface MemoryFiles {
  readonly [label: string]: { readonly source: string; readonly fill: boolean };
}

/** Makes what the files lack, and names all. */
export async function memoryFiles(
  platform: Platform,
  folder: string,
  gguf: string,
  size: ModelSize,
): Promise<MemoryFiles> {
  const bf16 = `${folder}/${size}-bf16`;
  mkdirSync(bf16, { recursive: true });
  const config = decoderConfig(size);
  await writeCheckpoint(platform, bf16, {
    config,
    shapes: decoderShapes(parseGemma3nConfig(config), "model."),
    hole: `model.${PER_LAYER_TABLE}`,
  });
  return {
    [`GGUF, ${FULL_CONTEXT} tokens in the cache`]: { source: gguf, fill: true },
    "bfloat16, quantised to q4 while it loads": { source: bf16, fill: false },
  };
}

/** Loads each file in a process of its own, and fills the context of some. */
export async function measureMemory(
  files: MemoryFiles,
  start: (source: string) => Promise<EngineProcess>,
  figures: Figures,
): Promise<void> {
  for (const [label, { source, fill }] of Object.entries(files)) {
    await using engine = await start(source);
    figures.add(label, "load", await engine.call("load"));
    if (fill) {
      await engine.call("prefill", FULL_CONTEXT - DECODE_TOKENS - 1);
      await engine.call("decode", DECODE_TOKENS);
    }
    figures.add(label, "peak", await engine.call("peakBytes"));
    figures.add(label, "anonymous", await engine.call("anonymousBytes"));
    const { memory } = await modelInfo(source, {
      device: "wasm",
      contextLength: FULL_CONTEXT,
      maxBatchSize: 1,
    });
    const { weights, kv, activations } = memory;
    figures.add(label, "weights", weights);
    figures.add(label, "predicted", weights + kv + activations);
  }
}

/** What was measured, as a table. */
export function memoryTable(files: MemoryFiles, figures: Figures): string {
  return table(
    [
      "memory, MB",
      "most resident",
      "beyond the weights",
      "anonymous at the end",
      "`g3n info`: weights",
      "with cache and step",
      "load, s",
    ],
    Object.keys(files).map((label) => {
      const bytes = (name: string) => figures.median(label, name)!;
      const megabytes = (x: number) => (x / MEGABYTE).toFixed(0);
      return [
        label,
        megabytes(bytes("peak")),
        megabytes(bytes("peak") - bytes("weights")),
        megabytes(bytes("anonymous")),
        megabytes(bytes("weights")),
        megabytes(bytes("predicted")),
        bytes("load").toFixed(1),
      ];
    }),
  );
}
