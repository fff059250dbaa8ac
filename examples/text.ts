// Continues a text, then does it again with sampling.
//
//   deno run -A examples/text.ts [MODEL] [TEXT]
import process from "node:process";

import { pipeline } from "@g3n/core";

const [
  model = "tests/reference/tiny",
  text = "The capital of France is",
] = process.argv.slice(2);

await using generate = await pipeline("text-generation", model);

const [greedy] = await generate(text, { maxNewTokens: 12, doSample: false });
console.log(`Greedy:  ${greedy!.generatedText} (${greedy!.finishReason})`);

// The same seed gives the same text on every device.
const sampled = await generate(text, {
  maxNewTokens: 12,
  doSample: true,
  temperature: 0.8,
  topP: 0.95,
  seed: 7,
  numReturnSequences: 2,
});
for (const { generatedText } of sampled) {
  console.log(`Sampled: ${generatedText}`);
}
