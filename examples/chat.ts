// Two turns of a conversation on one cache: the second turn computes only what
// is new in it.
//
//   deno run -A examples/chat.ts [MODEL]
import process from "node:process";

import {
  AutoProcessor,
  Gemma3nForConditionalGeneration,
  type Message,
  TextStreamer,
} from "@g3n/core";

const [source = "models/nano"] = process.argv.slice(2);

const processor = await AutoProcessor.fromPretrained(source);
await using model = await Gemma3nForConditionalGeneration.fromPretrained(
  source,
);
using cache = model.createCache();

const messages: Message[] = [{
  role: "system",
  content: "You are a helpful assistant.",
}];
for (const question of ["What is the capital of France?", "And of Japan?"]) {
  messages.push({ role: "user", content: question });
  console.log(`> ${question}`);
  messages.push({ role: "assistant", content: await answer() });
}

async function answer(): Promise<string> {
  const inputs = await processor.applyChatTemplate(messages, {
    addGenerationPrompt: true,
  });
  const { data: ids } = inputs.inputIds;
  let text = "";
  const streamer = new TextStreamer(processor, {
    skipPrompt: true,
    skipSpecialTokens: true,
    onText: (piece) => text += piece,
  });
  // An answer that is written down again may come out as other tokens; what
  // the cache holds beyond the common part goes.
  cache.crop(commonLength(ids, cache.ids));
  console.log(`  (${cache.length} of ${ids.length} tokens are in the cache)`);
  await model.generate({
    ...inputs,
    pastKeyValues: cache,
    maxNewTokens: 12,
    streamer,
  });
  console.log(`  ${text}`);
  return text;
}

function commonLength(a: Int32Array, b: Int32Array): number {
  let length = 0;
  while (length < Math.min(a.length, b.length) && a[length] === b[length]) {
    length++;
  }
  return length;
}
