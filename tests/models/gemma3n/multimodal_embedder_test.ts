import assert from "node:assert/strict";
import { test } from "node:test";

import {
  embedHardTokens,
  embedSoftTokens,
  hardEmbedderWeights,
  softEmbedderWeights,
} from "../../../src/models/gemma3n/multimodal_embedder.ts";
import { assertClose, devices, randomTensor } from "../../testing.ts";
import { tinyCheckpoint, tinyConfig } from "./tiny_checkpoint.ts";

// Results are of order 1.
const TOLERANCE = 1e-5;

const { visionConfig, audioConfig, textConfig } = await tinyConfig();
const width = textConfig.hiddenSize;

// What Transformers' embed_vision and embed_audio give for first, inner and
// last ids of their vocabularies: the first channels.
const HARD_TOKENS = [
  {
    prefix: "model.embed_vision.",
    config: visionConfig!,
    ids: [2048, 2049, 2055],
    wanted: [
      [0.65004355, 1.02338815, -0.78558987, 0.49599174],
      [-0.83735085, 0.37295511, -0.17871425, -0.03158856],
      [0.72771722, -0.57799035, 1.52374661, -0.44700602],
    ],
  },
  {
    prefix: "model.embed_audio.",
    config: audioConfig!,
    ids: [2056, 2063],
    wanted: [
      [0.39859596, 1.17102146, -1.14560831, -0.17059246],
      [0.02734468, 0.09535464, -0.1727806, -1.33569717],
    ],
  },
];

for (const { name, create } of await devices()) {
  for (const { prefix, config, ids, wanted } of HARD_TOKENS) {
    test(`hard tokens of ${prefix} on ${name}`, async () => {
      await using device = await create();
      const { loader, write } = await tinyCheckpoint(device);
      const scoped = loader.scope(prefix);
      const w = hardEmbedderWeights(scoped, config, width);
      const record = () => embedHardTokens(device.ops, w, Int32Array.from(ids));
      device.plan(() => [record()]);
      await device.allocate();
      await write();
      const result = record();
      assert.deepEqual(result.shape, [ids.length, width]);
      const [values] = await device.read([result]);
      wanted.forEach((row, i) => {
        const actual = values!.subarray(i * width, i * width + row.length);
        assertClose(actual, row, { atol: TOLERANCE, label: `id ${ids[i]}` });
      });
      for (const id of [config.vocabOffset - 1, config.vocabOffset + 8, -1]) {
        assert.throws(
          () => embedHardTokens(device.ops, w, Int32Array.of(ids[0]!, id)),
          {
            name: "InputError",
            message:
              `Cannot embed token ${id}: this vocabulary has ids ${config.vocabOffset} to ${
                config.vocabOffset + 7
              }`,
          },
        );
      }
    });
  }

  test(`soft tokens of one size have rows of mean square 1 on ${name}`, async () => {
    await using device = await create();
    const { loader, write } = await tinyCheckpoint(device);
    const scoped = loader.scope("model.embed_audio.");
    const w = softEmbedderWeights(scoped, audioConfig!, width);
    const { data, shape } = randomTensor([3, audioConfig!.hiddenSize], {
      seed: 1,
    });
    const record = () =>
      embedSoftTokens(device.ops, w, device.upload(data, shape));
    device.plan(() => [record()]);
    await device.allocate();
    await write();
    const [values] = await device.read([record()]);
    for (let t = 0; t < 3; t++) {
      const row = values!.subarray(t * width, (t + 1) * width);
      const mean = row.reduce((sum, x) => sum + x * x, 0) / width;
      assertClose([mean], [1], { atol: 1e-4, label: `row ${t}` });
    }
  });
}
