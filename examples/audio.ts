// Transcribes speech (WAV, FLAC, MP3 or Ogg Vorbis), then asks about it.
//
//   deno run -A examples/audio.ts [MODEL] [CLIP]
import process from "node:process";

import { createPipeline, pipeline } from "@g3n/core";

// Without a model it is g3n-nano, which knows short sentences.
const [source, clip = "examples/data/speech.wav"] = process.argv.slice(2);

await using transcribe = await pipeline("automatic-speech-recognition", source);
const [transcript] = await transcribe(clip, { maxNewTokens: 24 });
console.log(`It says: ${transcript!.generatedText}`);

// Another task on the same weights.
const { model, processor } = transcribe;
const ask = createPipeline("audio-text-to-text", model, processor);
const [answer] = await ask(
  { text: "What does the voice say?", audio: clip },
  { maxNewTokens: 24 },
);
console.log(`Asked: ${answer!.generatedText}`);
