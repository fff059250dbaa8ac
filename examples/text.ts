// Answers a question, then does it again with sampling.
//
//   deno run -A examples/text.ts [MODEL] [QUESTION]
import process from "node:process";

import { type Message, pipeline } from "@g3n/core";

// Without a model it is g3n-nano, which is very small.
const [model, question = "What is the capital of France?"] = process.argv
  .slice(2);

await using generate = await pipeline("text-generation", model);

// A plain text would be continued as it stands.
const messages: Message[] = [{ role: "user", content: question }];
const [greedy] = await generate(messages, {
  maxNewTokens: 12,
  doSample: false,
});
console.log(`Greedy:  ${greedy!.generatedText} (${greedy!.finishReason})`);

// The same seed gives the same text on every device.
const sampled = await generate(messages, {
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
