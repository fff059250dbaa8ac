// What processor_config.json says beside its image and audio parts.
import { isJsonObject } from "../core/json.ts";

/**
 * The two lengths in a parsed processor_config.json; files of 2025 lack them.
 */
export function parseProcessorConfig(
  json: unknown,
): { imageSeqLength: number | undefined; audioSeqLength: number | undefined } {
  const read = (key: string) => {
    const value = isJsonObject(json) ? json[key] : undefined;
    return typeof value === "number" ? value : undefined;
  };
  return {
    imageSeqLength: read("image_seq_length"),
    audioSeqLength: read("audio_seq_length"),
  };
}
