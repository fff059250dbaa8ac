// Asks a question about a picture (PNG, JPEG, WebP, GIF or BMP).
//
//   deno run -A examples/image.ts [MODEL] [PICTURE] [QUESTION]
import process from "node:process";

import { pipeline } from "@g3n/core";

// Without a model it is g3n-nano, which knows drawings of single things.
const [
  model,
  image = "examples/data/cat.png",
  question = "What is in this picture?",
] = process.argv.slice(2);

await using ask = await pipeline("image-text-to-text", model);
const [answer] = await ask(
  { text: question, images: image },
  { maxNewTokens: 12 },
);
console.log(answer!.generatedText);
