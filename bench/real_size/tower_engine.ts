// The towers as an engine: a picture of 768 x 768 and a clip of 30 s.
//   tower_engine.ts FOLDER THREADS
import process from "node:process";
import { Gemma3nForConditionalGeneration, hostTensor } from "../../mod.ts";
import { memoryHandlers, serve, timed } from "./engine_protocol.ts";

const SIDE = 768;
const [FRAMES, BINS] = [3000, 128];

const [folder, threads] = process.argv.slice(2);
await using model = await Gemma3nForConditionalGeneration.fromPretrained(
  folder!,
  { device: "wasm", threads: Number(threads), contextLength: 512 },
);
const pixels = hostTensor(
  "float32",
  [1, 3, SIDE, SIDE],
  Float32Array.from(
    { length: 3 * SIDE ** 2 },
    (_, i) => (i * 7919) % 256 / 255,
  ),
);
const mel = hostTensor(
  "float32",
  [1, FRAMES, BINS],
  Float32Array.from(
    { length: FRAMES * BINS },
    (_, i) => -((i * 7919) % 100) / 10,
  ),
);
const mask = hostTensor(
  "uint8",
  [1, FRAMES],
  new Uint8Array(FRAMES).fill(1),
);
// The first of each loads the tower.
const image = () =>
  timed(async () => requireFinite((await model.getImageFeatures(pixels)).data));
const audio = () =>
  timed(async () =>
    requireFinite((await model.getAudioFeatures(mel, mask)).features.data)
  );
await serve({ image, audio, ...memoryHandlers });
process.exit(0);

function requireFinite(values: Float32Array): void {
  if (values.every(Number.isFinite)) return;
  throw new Error("The features of a tower are not finite");
}
