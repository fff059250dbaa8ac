// Describes a picture, transcribes speech and continues a text, with whatever
// checkpoint is there: by default the tiny one of the tests, whose weights are
// random, so that what it says is noise.
//
//   deno task demo [MODEL]
import process from "node:process";

import { createPipeline, pipeline, type PipelineInput } from "@g3n/core";

const TINY = "tests/reference/tiny";
const MEDIA = "tests/reference/media";
const [source = TINY] = process.argv.slice(2);

const start = performance.now();
await using describe = await pipeline("image-text-to-text", source);
const { model, processor } = describe;
const transcribe = createPipeline(
  "automatic-speech-recognition",
  model,
  processor,
);
const generate = createPipeline("text-generation", model, processor);

const { numHiddenLayers, vocabSize } = model.config.textConfig;
console.log(`${source}: ${numHiddenLayers} layers, ${vocabSize} token ids`);
if (source === TINY) {
  console.log("Its weights are random: what it says means nothing.");
}
console.log(`Loaded in ${seconds(start)}`);

await show(`${MEDIA}/cat.png`, describe, {
  text: "What is in this picture?",
  images: `${MEDIA}/cat.png`,
});
await show(
  `${MEDIA}/speech-16k.wav`,
  transcribe,
  `${MEDIA}/speech-16k.wav`,
);
await show(
  '"The capital of France is"',
  generate,
  "The capital of France is",
);

async function show(
  title: string,
  pipe: typeof describe,
  input: PipelineInput,
): Promise<void> {
  const start = performance.now();
  let text = "";
  for await (const piece of pipe.stream(input, { maxNewTokens: 24 })) {
    text += piece;
  }
  console.log(`\n${pipe.task}: ${title} (${seconds(start)})\n  ${text}`);
}

function seconds(since: number): string {
  return `${((performance.now() - since) / 1000).toFixed(1)} s`;
}
