// Transcribes speech from a WAV file, then asks about it.
//
//   deno run -A examples/audio.ts [MODEL] [CLIP]
import process from "node:process";

import { createPipeline, pipeline } from "@g3n/core";

const [
  source = "tests/reference/tiny",
  clip = "tests/reference/media/speech-16k.wav",
] = process.argv.slice(2);

await using transcribe = await pipeline("automatic-speech-recognition", source);
const [transcript] = await transcribe(clip, { maxNewTokens: 12 });
console.log(`It says: ${transcript!.generatedText}`);

// Another task on the same weights.
const { model, processor } = transcribe;
const ask = createPipeline("audio-text-to-text", model, processor);
const [answer] = await ask(
  { text: "Who is speaking?", audio: clip },
  { maxNewTokens: 12 },
);
console.log(`Who is it? ${answer!.generatedText}`);
