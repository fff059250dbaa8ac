// A processor over the tiny checkpoint whose media parts are stand-ins: they
// give tensors of the right shape and note what they were given.
import { hostTensor } from "../../src/core/tensor.ts";
import { ChatTemplate } from "../../src/processing/chat_template.ts";
import type {
  AudioFeatureExtractor,
  AudioInput,
  ImageInput,
  ImageProcessor,
} from "../../src/processing/media.ts";
import {
  Gemma3nProcessor,
  type Gemma3nProcessorParts,
} from "../../src/processing/processor.ts";
import { parseProcessorConfig } from "../../src/processing/processor_config.ts";
import { GemmaTokenizer } from "../../src/processing/tokenizer.ts";
import { referenceText } from "../golden.ts";

const readJson = async (name: string): Promise<unknown> =>
  JSON.parse(await referenceText(name));

const tokenizer = new GemmaTokenizer(
  await readJson("tiny/tokenizer.json"),
  await readJson("tiny/tokenizer_config.json"),
);
const chatTemplate = new ChatTemplate(
  await referenceText("tiny/chat_template.jinja"),
  tokenizer.specialTokens,
);
const lengths = parseProcessorConfig(
  await readJson("tiny/processor_config.json"),
);

/** Notes the pictures of every call; each becomes `[3, 2, 2]`. */
export class StubImageProcessor implements ImageProcessor {
  readonly seen: ImageInput[][] = [];

  process(images: readonly ImageInput[]) {
    this.seen.push([...images]);
    return hostTensor(
      "float32",
      [images.length, 3, 2, 2],
      new Float32Array(images.length * 12),
    );
  }
}

/** Notes the clips of every call; each becomes 5 frames. */
export class StubFeatureExtractor implements AudioFeatureExtractor {
  readonly seen: AudioInput[][] = [];

  process(clips: readonly AudioInput[]) {
    this.seen.push([...clips]);
    const shape = [clips.length, 5];
    return Promise.resolve({
      inputFeatures: hostTensor(
        "float32",
        [...shape, 128],
        new Float32Array(clips.length * 5 * 128),
      ),
      inputFeaturesMask: hostTensor(
        "uint8",
        shape,
        new Uint8Array(clips.length * 5).fill(1),
      ),
    });
  }
}

/** A processor with fresh stand-ins. */
export function makeProcessor(parts: Partial<Gemma3nProcessorParts> = {}): {
  processor: Gemma3nProcessor;
  imageProcessor: StubImageProcessor;
  featureExtractor: StubFeatureExtractor;
} {
  const imageProcessor = new StubImageProcessor();
  const featureExtractor = new StubFeatureExtractor();
  const processor = new Gemma3nProcessor({
    tokenizer,
    chatTemplate,
    imageProcessor,
    featureExtractor,
    ...lengths,
    ...parts,
  });
  return { processor, imageProcessor, featureExtractor };
}
