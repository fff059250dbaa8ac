// config.json of a model's files.
import { CheckpointError } from "../core/errors.ts";
import type { ModelFiles } from "../io/model_files.ts";
import {
  type Gemma3nConfig,
  parseGemma3nConfig,
} from "../models/gemma3n/config.ts";
import { readJson } from "./model_options.ts";

/**
 * Reads and checks config.json.
 *
 * @throws {CheckpointError} When there is none or it is no Gemma 3n config.
 */
export async function readConfig(files: ModelFiles): Promise<Gemma3nConfig> {
  const json = await readJson(files, "config.json");
  if (json === undefined) {
    throw new CheckpointError(
      `Cannot find "config.json" in ${files.describe()}: a checkpoint in Hugging Face layout is needed`,
      { file: "config.json" },
    );
  }
  return parseGemma3nConfig(json);
}
