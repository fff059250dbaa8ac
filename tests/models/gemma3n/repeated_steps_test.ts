// Steps that repeat what an earlier one recorded give the bits of steps that
// are recorded anew, whatever comes between them.
import assert from "node:assert/strict";
import { test } from "node:test";

import { createWasmDevice } from "../../../src/backends/wasm/device.ts";
import { localFiles } from "../../../src/hub/local_files.ts";
import { openCheckpoint } from "../../../src/io/checkpoint.ts";
import { checkpointNames } from "../../../src/models/gemma3n/checkpoint_names.ts";
import {
  Decoder,
  type DecoderInput,
  type DecoderOptions,
  type DecoderRunOptions,
} from "../../../src/models/gemma3n/decoder.ts";
import type { SequenceCache } from "../../../src/models/gemma3n/sequence_cache.ts";
import type { Device } from "../../../src/ops/device.ts";
import type { Ops } from "../../../src/ops/ops.ts";
import { detectPlatform } from "../../../src/platform/detect.ts";
import { referencePath } from "../../golden.ts";
import { createThreadedDevice, testPlatform } from "../../testing.ts";
import { tinyConfig } from "./tiny_checkpoint.ts";

/** With chunks of 8 the rings of sliding layers, of 16 - 1 + 8 rows, wrap. */
const OPTIONS: DecoderOptions = {
  contextLength: 128,
  maxBatchSize: 2,
  prefillChunk: 8,
  fastPrefill: true,
  dtype: "f32",
  cacheDtype: "f32",
  perLayerEmbeddings: "auto",
};
/** Ids of the vision vocabulary, which take other operations, begin at 2048. */
const VISION_ID = 2050;

const oneThread = () => createWasmDevice({ platform: testPlatform });

/** The device with other operations. */
function withOps(device: Device, ops: Ops): Device {
  return new Proxy(device, {
    get(target, key: keyof Device) {
      if (key === "ops") return ops;
      const value = target[key];
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

/** Calls `use` with the tiny checkpoint's decoder on a device. */
async function withDecoder<T>(
  device: Device,
  options: Partial<DecoderOptions>,
  use: (decoder: Decoder) => Promise<T>,
): Promise<T> {
  await using _ = device;
  const config = await tinyConfig();
  const platform = await detectPlatform();
  await using checkpoint = await openCheckpoint(
    await localFiles(referencePath("tiny"), platform),
  );
  const names = await checkpointNames(checkpoint, config);
  const decoder = new Decoder(device, checkpoint, names, config, {
    ...OPTIONS,
    ...options,
  });
  await decoder.load();
  return await use(decoder);
}

/** Ids of text, other ones for each seed. */
function someIds(count: number, seed = 1): Int32Array {
  return Int32Array.from(
    { length: count },
    (_, i) => 10 + (i + 31 * seed) * 7919 % 1900,
  );
}

/** Feeds ids, one at a time unless they are to come together; collects what comes back. */
class Feeder {
  readonly outputs: Float32Array[] = [];
  readonly decoder: Decoder;

  constructor(decoder: Decoder) {
    this.decoder = decoder;
  }

  async together(
    inputs: readonly Omit<DecoderInput, "keep">[],
    options: DecoderRunOptions = {},
  ): Promise<void> {
    const kept = inputs.map((input) => ({ ...input, keep: 1 }));
    for (const output of await this.decoder.run(kept, options)) {
      this.outputs.push(output.kept, ...output.hiddenStates);
    }
  }

  async singly(cache: SequenceCache, ids: Int32Array): Promise<void> {
    for (const id of ids) {
      await this.together([{ cache, ids: Int32Array.of(id) }]);
    }
  }

  /** Feeds an id and what is the likeliest after it, and so on. */
  async chosen(cache: SequenceCache, first: number, count: number) {
    let id = first;
    for (let i = 0; i < count; i++) {
      const [ids] = await this.decoder.choose([{ cache, id }], 1);
      id = ids![0]!;
      this.outputs.push(Float32Array.of(id));
    }
  }
}

/** What is fed, by what it tries. */
const CALLS: Record<string, (feeder: Feeder) => Promise<void>> = {
  "beyond the window": async (feeder) => {
    const cache = feeder.decoder.createCache();
    await feeder.together([{ cache, ids: someIds(5) }]);
    await feeder.singly(cache, someIds(40, 2));
    await feeder.chosen(cache, 77, 20);
  },
  "from nothing": async (feeder) => {
    const cache = feeder.decoder.createCache();
    await feeder.singly(cache, someIds(3));
    cache.crop(0);
    await feeder.singly(cache, someIds(3, 2));
  },
  "two sequences in turn": async (feeder) => {
    const { decoder } = feeder;
    const [a, b] = [decoder.createCache(64), decoder.createCache(100)];
    await feeder.together([{ cache: a, ids: someIds(3) }]);
    await feeder.together([{ cache: b, ids: someIds(11, 2) }]);
    for (let i = 0; i < 4; i++) {
      await feeder.singly(a, someIds(1, 10 + i));
      await feeder.singly(b, someIds(2, 20 + i));
      const ids = someIds(1, i);
      await feeder.together([{ cache: b, ids }, { cache: a, ids }]);
      await feeder.chosen(a, 5 + i, 1);
    }
    a.dispose();
    // In the memory of the first.
    const c = decoder.createCache(64);
    await feeder.singly(c, someIds(2, 30));
    await feeder.singly(b, someIds(2, 31));
    await feeder.singly(c, someIds(2, 32));
  },
  "other steps between": async (feeder) => {
    const cache = feeder.decoder.createCache();
    const token = (seed: number) => feeder.singly(cache, someIds(2, seed));
    await token(1);
    await feeder.together([{ cache, ids: someIds(19, 2) }]);
    await token(3);
    cache.crop(-4);
    await token(4);
    const one = { cache, ids: someIds(1, 5) };
    await feeder.together([one], { outputHiddenStates: true });
    await token(6);
    await feeder.together([one], { output: "lastHiddenState" });
    await token(7);
    await feeder.singly(cache, Int32Array.of(VISION_ID));
    await token(8);
    const D = feeder.decoder.config.textConfig.hiddenSize;
    const data = new Float32Array(D).fill(0.25);
    const soft = { data, rows: Int32Array.of(0) };
    await feeder.together([{ ...one, soft }]);
    await token(9);
    feeder.outputs.push(await feeder.decoder.hardEmbedding(VISION_ID));
    await token(10);
  },
  "an abort": async (feeder) => {
    const cache = feeder.decoder.createCache();
    const one = { cache, ids: someIds(1) };
    await feeder.singly(cache, someIds(3));
    const signal = AbortSignal.abort();
    await assert.rejects(feeder.together([one], { signal }));
    await feeder.singly(cache, someIds(2, 2));
  },
};

/** What calls give on a device that repeats steps, or not. */
async function outputsOf(
  create: () => Promise<Device>,
  repeats: boolean,
  options: Partial<DecoderOptions>,
  call: (feeder: Feeder) => Promise<void>,
): Promise<Float32Array[]> {
  const device = await create();
  const { repeat, ...others } = device.ops;
  assert.ok(repeat, "the device can repeat");
  const used = repeats ? device : withOps(device, others);
  return await withDecoder(used, options, async (decoder) => {
    const feeder = new Feeder(decoder);
    await call(feeder);
    return feeder.outputs;
  });
}

for (const [what, call] of Object.entries(CALLS)) {
  test(`repeated steps are those recorded anew: ${what}`, async () => {
    for (
      const [create, options] of [
        [oneThread, {}],
        [oneThread, { dtype: "q4", cacheDtype: "f16", fastPrefill: false }],
        [() => createThreadedDevice(2), { dtype: "q8", cacheDtype: "q8" }],
      ] as const
    ) {
      const anew = await outputsOf(create, false, options, call);
      const repeated = await outputsOf(create, true, options, call);
      assert.ok(anew.length > 0);
      assert.deepEqual(repeated, anew, JSON.stringify(options));
    }
  });
}

test("a step that fails while it is recorded leaves nothing to repeat", async () => {
  const ids = someIds(4);
  const whole = await outputsOf(oneThread, false, {}, async (feeder) => {
    await feeder.singly(feeder.decoder.createCache(), ids);
  });
  // Within what is repeated, and after it.
  for (const name of ["attention", "softcap"] as const) {
    const device = await oneThread();
    const ops = { ...device.ops };
    await withDecoder(withOps(device, ops), {}, async (decoder) => {
      const feeder = new Feeder(decoder);
      const cache = decoder.createCache();
      for (const id of ids) {
        ops[name] = () => {
          throw new RangeError("Failed on purpose");
        };
        const one = () => feeder.singly(cache, Int32Array.of(id));
        const isRepeated = name === "attention" && cache.length > 0;
        if (!isRepeated) await assert.rejects(one(), RangeError);
        Object.assign(ops, { [name]: device.ops[name] });
        await one();
      }
      assert.deepEqual(feeder.outputs, whole, name);
    });
  }
});

/** Of the rotary embedding: views of what the host makes for each token. */
const TABLES = ["cos", "sin", "cos", "sin"];

test("decoding records no layer anew, also for sequences in turn", async () => {
  const device = await oneThread();
  const recorded: string[] = [];
  const counted = Object.entries(device.ops).map(([name, op]) => [
    name,
    (...args: unknown[]) => {
      recorded.push(name);
      return (op as (...args: unknown[]) => unknown)(...args);
    },
  ]);
  const ops = Object.fromEntries(counted) as Ops;
  await withDecoder(withOps(device, ops), { dtype: "q4" }, async (decoder) => {
    const feeder = new Feeder(decoder);
    const caches = [decoder.createCache(), decoder.createCache()];
    for (const cache of caches) {
      await feeder.together([{ cache, ids: someIds(7) }]);
      recorded.splice(0);
      await feeder.chosen(cache, 5, 1);
      assert.ok(recorded.includes("attention"), "the first step is recorded");
    }
    // The prompt of the second has taken the place of what the first recorded.
    await feeder.chosen(caches[0]!, 5, 1);
    for (let i = 0; i < 40; i++) {
      recorded.splice(0);
      const cache = caches[i % 2]!;
      await feeder.chosen(cache, 5, 1);
      assert.deepEqual(
        recorded,
        [
          "embedding",
          ...TABLES.map(() => "at"),
          "repeat",
          "matmul",
          "softcap",
          "argmax",
        ],
        `token ${i}`,
      );
    }
  });
});
