// Asks a question about a picture, a PNG or JPEG file.
//
//   deno run -A examples/image.ts [MODEL] [PICTURE] [QUESTION]
import process from "node:process";

import { pipeline } from "@g3n/core";

const [
  model = "tests/reference/tiny",
  image = "tests/reference/media/cat.png",
  question = "What is in this picture?",
] = process.argv.slice(2);

await using ask = await pipeline("image-text-to-text", model);
const [answer] = await ask(
  { text: question, images: image },
  { maxNewTokens: 12 },
);
console.log(answer!.generatedText);
