// What the fuzzer damages, and what reads it.
import { decodeAudio } from "../src/codecs/decode_audio.ts";
import { pictureCodecs, soundCodecs } from "../src/codecs/codecs.ts";
import { decodeImage } from "../src/codecs/decode_image.ts";
import { decodeUtf8, isJsonObject, parseJsonObject } from "../src/core/json.ts";
import { parseGenerationConfig } from "../src/generation/parse_generation_config.ts";
import { bytesSource } from "../src/io/byte_source.ts";
import { readSafetensorsHeader } from "../src/io/safetensors.ts";
import { readShardIndex } from "../src/io/shard_index.ts";
import { parseGemma3nConfig } from "../src/models/gemma3n/config.ts";
import { readAudioFeatureConfig } from "../src/processing/audio_feature_config.ts";
import { SiglipImageProcessor } from "../src/processing/image_processor.ts";
import { parseTokenizerConfig } from "../src/processing/tokenizer_config.ts";
import { parseTokenizerJson } from "../src/processing/tokenizer_json.ts";
import { resealOgg, resealPng } from "./checksums.ts";

/** A whole file and its parser. */
export interface FuzzTarget {
  /** Name of the file. */
  readonly name: string;
  readonly bytes: Uint8Array;
  /** Resolves, or rejects with an error of ours. */
  parse(bytes: Uint8Array): unknown;
  /** Makes the checksums right again, in place. */
  readonly reseal?: ((bytes: Uint8Array) => unknown) | undefined;
  /** Memory of the module at the end of the last parse. */
  readonly memoryBytes?: (() => number) | undefined;
  /** Most memory that it may have. */
  readonly maxBytes: number;
}

const TESTS = new URL("../tests/", import.meta.url);

// A picture may claim as many pixels as Pillow takes; smaller limits keep the
// fuzzer fast, so that memory is bounded by what sizes of damaged pictures
// come to, not by their files.
const MAX_PICTURE_BYTES = 2 ** 31;
const MAX_SOUND_BYTES = 2 ** 27;
const MAX_SECONDS = 31;

const JSON_PARSERS: Readonly<
  Record<string, (text: string, name: string) => unknown>
> = {
  "config.json": (text, name) =>
    parseGemma3nConfig(parseJsonObject(text, name)),
  "generation_config.json": (text, name) =>
    parseGenerationConfig(parseJsonObject(text, name)),
  "tokenizer.json": (text, name) =>
    parseTokenizerJson(parseJsonObject(text, name)),
  "tokenizer_config.json": (text, name) =>
    parseTokenizerConfig(parseJsonObject(text, name)),
  "processor_config.json": (text, name) => {
    const json = parseJsonObject(text, name);
    if (isJsonObject(json.image_processor)) {
      new SiglipImageProcessor(json.image_processor);
    }
    if (isJsonObject(json.feature_extractor)) {
      readAudioFeatureConfig(json.feature_extractor);
    }
  },
  "model.safetensors.index.json": (text) => readShardIndex(text),
};

/** All files that are damaged. */
export async function fuzzTargets(): Promise<FuzzTarget[]> {
  const targets: FuzzTarget[] = [];
  for (
    const name of await files("codecs/images/", /\.(png|jpg|webp|gif|bmp)$/)
  ) {
    targets.push({
      name,
      bytes: await read(`codecs/images/${name}`),
      parse: (bytes) => decodeImage(bytes),
      reseal: name.endsWith(".png") ? resealPng : undefined,
      memoryBytes: () => pictureCodecs.memoryBytes,
      maxBytes: MAX_PICTURE_BYTES,
    });
  }
  for (
    const name of await files("codecs/sounds/", /\.(flac|mp3|ogg|opus|wav)$/)
  ) {
    targets.push({
      name,
      bytes: await read(`codecs/sounds/${name}`),
      parse: (bytes) => decodeAudio(bytes, { maxSeconds: MAX_SECONDS }),
      reseal: /\.(ogg|opus)$/.test(name) ? resealOgg : undefined,
      // A WAV file does not reach the module.
      memoryBytes: name.endsWith(".wav")
        ? undefined
        : () => soundCodecs.memoryBytes,
      maxBytes: MAX_SOUND_BYTES,
    });
  }
  for (const [name, parse] of Object.entries(JSON_PARSERS)) {
    targets.push({
      name,
      bytes: await read(`reference/tiny/${name}`),
      parse: (bytes) => parse(decodeUtf8(bytes, name), name),
      maxBytes: Infinity,
    });
  }
  const name = "model-00003-of-00003.safetensors";
  targets.push({
    name,
    bytes: (await read(`reference/tiny/${name}`)).subarray(0, 2 ** 16),
    parse: (bytes) => readSafetensorsHeader(bytesSource(name, bytes)),
    maxBytes: Infinity,
  });
  return targets;
}

async function files(folder: string, pattern: RegExp): Promise<string[]> {
  const names: string[] = [];
  for await (const { name } of Deno.readDir(new URL(folder, TESTS))) {
    if (pattern.test(name)) names.push(name);
  }
  return names.sort();
}

function read(path: string): Promise<Uint8Array> {
  return Deno.readFile(new URL(path, TESTS));
}
