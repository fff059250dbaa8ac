// Describes a picture, transcribes speech and answers a question, with the
// small model g3n-nano or with a checkpoint of your own.
//
//   deno task demo [MODEL]
import process from "node:process";

import { createPipeline, pipeline, type PipelineInput } from "@g3n/core";

const [source] = process.argv.slice(2);
const PICTURE = "examples/data/cat.png";
const CLIP = "examples/data/speech.wav";
const QUESTION = "What is the capital of France?";

const start = performance.now();
await using describe = await pipeline("image-text-to-text", source);
const { model, processor } = describe;
const transcribe = createPipeline(
  "automatic-speech-recognition",
  model,
  processor,
);
const answer = createPipeline("any-to-any", model, processor);

const { numHiddenLayers, vocabSize } = model.config.textConfig;
console.log(
  `${source ?? "g3n-nano"}: ${numHiddenLayers} layers, ${vocabSize} token ids`,
);
console.log(`Loaded in ${seconds(start)}`);

await show(PICTURE, describe, {
  text: "What is in this picture?",
  images: PICTURE,
});
await show(CLIP, transcribe, CLIP);
await show(QUESTION, answer, QUESTION);

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
