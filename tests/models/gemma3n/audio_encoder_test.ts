import assert from "node:assert/strict";
import { test } from "node:test";

import { CheckpointError, InputError } from "../../../src/core/errors.ts";
import { hostTensor } from "../../../src/core/tensor.ts";
import {
  audioEncoder,
  audioFeatures,
  uploadAudio,
} from "../../../src/models/gemma3n/audio_encoder.ts";
import { conformerMask } from "../../../src/models/gemma3n/audio_frames.ts";
import {
  type AudioTower,
  audioTowerWeights,
} from "../../../src/models/gemma3n/audio_weights.ts";
import type { Device } from "../../../src/ops/device.ts";
import type { Tensor } from "../../../src/ops/ops.ts";
import { golden } from "../../golden.ts";
import { assertClose, devices } from "../../testing.ts";
import { tinyCheckpoint, tinyConfig } from "./tiny_checkpoint.ts";

// Outputs are of order 1; sums in another order move them by some 1e-6.
const TOLERANCE = 1e-4;

// `clips` has no encoder output of its own.
const CASES = [
  "audio",
  "mixed",
  "two_clips",
  "audio_batch",
  "clips",
  "long_audio",
];

const LONGEST_CLIP = 2997;

const expected = await golden();
const { audioConfig, textConfig } = await tinyConfig();
const config = audioConfig!;

/** A device with the audio tower in it and room for clips of up to `frames` mel frames. */
async function audioDevice(
  create: () => Promise<Device>,
  frames: number,
): Promise<{ device: Device; tower: AudioTower }> {
  const device = await create();
  const { loader, write } = await tinyCheckpoint(device);
  const tower = audioTowerWeights(
    loader.scope("model."),
    config,
    textConfig.hiddenSize,
  );
  device.plan(() => {
    const features = silence(frames);
    const { mel, ctx } = uploadAudio(device, config, features, ones(frames));
    return [audioFeatures(device.ops, tower, mel, ctx)];
  });
  await device.allocate();
  await write();
  return { device, tower };
}

function silence(frames: number) {
  return hostTensor("float32", [frames, 128], new Float32Array(frames * 128));
}

function ones(length: number): Uint8Array {
  return new Uint8Array(length).fill(1);
}

/** Clip `index` of a tensor [C, ...], without its first dimension. */
function clip<T extends Float32Array | Uint8Array>(
  { data, shape }: { data: T; shape: readonly number[] },
  index: number,
): T {
  const size = data.length / shape[0]!;
  return data.subarray(index * size, (index + 1) * size) as T;
}

for (const { name: deviceName, create } of await devices()) {
  test(`the audio tower matches Transformers on ${deviceName}`, async () => {
    const { device, tower } = await audioDevice(create, LONGEST_CLIP);
    await using _ = device;
    for (const name of CASES) {
      const inputs = expected.float32(`${name}.input_features`);
      const [clips, frames, mels] = inputs.shape;
      for (let i = 0; i < clips!; i++) {
        const upload = () =>
          uploadAudio(
            device,
            config,
            hostTensor("float32", [frames!, mels!], clip(inputs, i)),
            clip(expected.uint8(`${name}.input_features_mask`), i),
          );
        const padded = clip(expected.uint8(`${name}.audio_mask`), i);
        const { mel, ctx, mask } = upload();
        assert.deepEqual(mask, padded.map((p) => 1 - p), `${name} mask ${i}`);

        const compare = async (part: string, actual: Tensor) => {
          const [values] = await device.read([actual]);
          if (!expected.has(`${name}.${part}`)) return;
          assertClose(values!, clip(expected.float32(`${name}.${part}`), i), {
            atol: TOLERANCE,
            label: `${name}.${part}[${i}]`,
          });
        };
        const encoded = audioEncoder(device.ops, tower.encoder, mel, ctx);
        assert.deepEqual(encoded.shape, [mask.length, config.hiddenSize]);
        await compare("audio_encoder", encoded);
        const again = upload();
        await compare(
          "audio_features",
          audioFeatures(device.ops, tower, again.mel, again.ctx),
        );
      }
    }
  });

  test(`the audio tower takes clips of any length on ${deviceName}`, async () => {
    const { device, tower } = await audioDevice(create, 17);
    await using _ = device;
    for (const frames of [1, 2, 3, 4, 5, 13, 16, 17]) {
      const features = silence(frames);
      const { mel, ctx, mask } = uploadAudio(
        device,
        config,
        features,
        ones(frames),
      );
      const out = audioFeatures(device.ops, tower, mel, ctx);
      assert.deepEqual(out.shape, [
        Math.ceil(frames / 16),
        textConfig.hiddenSize,
      ]);
      assert.equal(mask.length, out.shape[0]);
      const [values] = await device.read([out]);
      assert.ok(values!.every(Number.isFinite), `${frames} frames`);
    }
  });

  test(`a masked frame does not change the frames before it on ${deviceName}`, async () => {
    const frames = 64;
    const { device, tower } = await audioDevice(create, frames);
    await using _ = device;
    const run = async (fill: number) => {
      const features = silence(frames);
      features.data.forEach((_, i) => features.data[i] = Math.sin(i * i));
      // The last frames the second convolution sees for frame 7 are 28..34.
      features.data.fill(fill, 36 * 128);
      const mask = ones(frames).fill(0, 32);
      const { mel, ctx } = uploadAudio(device, config, features, mask);
      const out = audioFeatures(device.ops, tower, mel, ctx);
      return (await device.read([out]))[0]!;
    };
    const [a, b] = [await run(0), await run(3)];
    assert.deepEqual(a, b);
    const half = a.length / 2;
    assert.ok(a.subarray(0, half).some((v) => v !== 0));
    assert.ok(a.subarray(half).every((v) => v === 0), "padding is zeros");
  });
}

test("audioTowerWeights() declares every tensor of the tower once", async () => {
  const { create } = (await devices())[0]!;
  await using device = await create();
  const { loader, declared, names } = await tinyCheckpoint(device);
  audioTowerWeights(loader.scope("model."), config, textConfig.hiddenSize);
  // The hard path of embed_audio lives with the decoder.
  const hard = /embed_audio\.(embedding|hard_embedding_norm)\./;
  const tower = names.filter((name) => /audio/.test(name) && !hard.test(name));
  assert.deepEqual([...declared].sort(), tower.sort());
});

test("audioTowerWeights() throws when the heads do not divide the width", async () => {
  const { create } = (await devices())[0]!;
  await using device = await create();
  const { loader } = await tinyCheckpoint(device);
  const odd = { ...config, confNumAttentionHeads: 5 };
  assert.throws(
    () => audioTowerWeights(loader.scope("model."), odd, 64),
    (error) =>
      error instanceof CheckpointError &&
      /"hidden_size" is 48.*"conf_num_attention_heads", 5/.test(error.message),
  );
});

test("uploadAudio() throws when the shapes do not fit", async () => {
  const { create } = (await devices())[0]!;
  await using device = await create();
  await device.allocate();
  assert.throws(
    () => uploadAudio(device, config, silence(4), ones(5)),
    (error) =>
      error instanceof InputError && /\[4,128\].*\[5,128\]/.test(error.message),
  );
  assert.throws(
    () => uploadAudio(device, config, silence(0), ones(0)),
    (error) =>
      error instanceof InputError && /no mel frames/.test(error.message),
  );
});

test("conformerMask() takes each frame's first mel frame", () => {
  const mask = Uint8Array.of(1, 0, 0, 0, 1, 1, 1, 1, 0, 1, 1, 1, 1);
  assert.deepEqual(conformerMask(config, mask), Uint8Array.of(1, 1, 0, 1));
});
