// Reads generation_config.json: Transformers' spelling to ours. A file may hold
// much that concerns other software; only what would change the result is told.
import { CheckpointError, InputError } from "../core/errors.ts";
import type { GenerationConfig, WarningSink } from "./generation_config.ts";
import {
  checkOption,
  OPTION_CHECKS,
  UNSUPPORTED_OPTIONS,
} from "./option_checks.ts";

// Not a matter of a model's file, whatever Transformers would make of them.
const NOT_FROM_FILE = ["output_logits", "output_scores"];

/**
 * Reads the content of generation_config.json.
 *
 * @param json The parsed file.
 * @param onWarning Told of settings that would change the result in
 * Transformers and are not supported here.
 * @throws {CheckpointError} When it is no object or a value is not what it must be.
 */
export function parseGenerationConfig(
  json: unknown,
  onWarning: WarningSink = () => {},
): GenerationConfig {
  const file = "generation_config.json";
  if (typeof json !== "object" || json === null || Array.isArray(json)) {
    throw new CheckpointError(`Cannot use ${file}: it must hold an object`, {
      file,
    });
  }
  const config: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(json)) {
    if (value === null || NOT_FROM_FILE.includes(key)) continue;
    const name = key.replace(
      /_([a-z])/g,
      (_, letter: string) => letter.toUpperCase(),
    );
    if (!Object.hasOwn(OPTION_CHECKS, name)) {
      const harmless = UNSUPPORTED_OPTIONS[name];
      if (harmless && !harmless.includes(value)) {
        onWarning(`${file}: "${key}" is not supported and ignored`);
      }
      continue;
    }
    try {
      checkOption(name, value);
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      throw new CheckpointError(`Cannot use ${file}: ${error.message}`, {
        file,
        cause: error,
      });
    }
    config[name] = value;
  }
  return config;
}
