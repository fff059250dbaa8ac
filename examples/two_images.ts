// Compares two pictures, without a pipeline: the processor makes the model's
// inputs, and what is in them can be looked at.
//
//   deno run -A examples/two_images.ts [MODEL] [PICTURE PICTURE]
import process from "node:process";

import { AutoProcessor, Gemma3nForConditionalGeneration } from "@g3n/core";

const [
  source = "models/nano",
  first = "examples/data/cat.png",
  second = "tests/reference/media/flower.jpg",
] = process.argv.slice(2);

const processor = await AutoProcessor.fromPretrained(source);
await using model = await Gemma3nForConditionalGeneration.fromPretrained(
  source,
);

const inputs = await processor.applyChatTemplate([{
  role: "user",
  content: [
    { type: "image", url: first },
    { type: "image", url: second },
    { type: "text", text: "Which picture shows a cat?" },
  ],
}], { addGenerationPrompt: true });
const [B, T] = inputs.inputIds.shape;
console.log(
  `${B} prompt of ${T} tokens, pictures ${inputs.pixelValues!.shape}`,
);

const { sequences } = await model.generate({ ...inputs, maxNewTokens: 12 });
const answer = sequences[0]!.subarray(T!); // a sequence begins with its prompt
console.log(processor.decode(answer, { skipSpecialTokens: true }));
