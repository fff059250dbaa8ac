// The tower at the size of the real models, where the adapter pools 48x48
// cells to 16x16. The reference device would take minutes.
import { test } from "node:test";

import { type JsonObject, parseJsonObject } from "../../../src/core/json.ts";
import { imageFeatures } from "../../../src/models/gemma3n/vision_encoder.ts";
import { picturePixels } from "../../../src/models/gemma3n/vision_pixels.ts";
import { visionTowerWeights } from "../../../src/models/gemma3n/vision_weights.ts";
import { SiglipImageProcessor } from "../../../src/processing/image_processor.ts";
import { golden, referenceBytes, referenceText } from "../../golden.ts";
import { assertClose, devices } from "../../testing.ts";
import { tinyCheckpoint, tinyConfig } from "./tiny_checkpoint.ts";

const TOLERANCE = 2e-4;
const SIDE = 768;
// Bun gives a test 5 s unless told otherwise.
const SLOW = { timeout: 120_000 };

const { visionConfig, textConfig } = await tinyConfig();
const config = visionConfig!;

for (const { name, create } of await devices()) {
  // The scalar reference and a GPU in software take minutes.
  if (name === "reference" || name === "webgpu") continue;
  test(`image features of "vision768" on ${name}`, SLOW, async () => {
    const json = parseJsonObject(
      await referenceText("tiny/processor_config.json"),
      "processor_config.json",
    );
    const processor = new SiglipImageProcessor({
      ...json["image_processor"] as JsonObject,
      size: { height: SIDE, width: SIDE },
    });
    const cat = await referenceBytes("media/cat.png");
    const pixels = picturePixels(await processor.process([cat]), 0);

    await using device = await create();
    const { loader, write } = await tinyCheckpoint(device);
    const tower = visionTowerWeights(
      loader.scope("model."),
      config,
      textConfig.hiddenSize,
    );
    const record = () =>
      imageFeatures(
        device.ops,
        tower,
        config,
        device.upload(pixels.data, pixels.shape),
      );
    device.plan(() => [record()]);
    await device.allocate();
    await write();
    const [values] = await device.read([record()]);
    const wanted = (await golden()).float32("vision768.image_features");
    assertClose(values!, wanted.data, { atol: TOLERANCE, label: "vision768" });
  });
}
