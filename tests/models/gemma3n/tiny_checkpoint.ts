// Weights of the tiny reference checkpoint on any device, in float32.
import { CheckpointError } from "../../../src/core/errors.ts";
import { parseJsonObject } from "../../../src/core/json.ts";
import { formatShape, sameShape } from "../../../src/core/shape.ts";
import {
  type Gemma3nConfig,
  parseGemma3nConfig,
} from "../../../src/models/gemma3n/config.ts";
import type { Device } from "../../../src/ops/device.ts";
import type { Weight } from "../../../src/ops/ops.ts";
import type { WeightLoader } from "../../../src/ops/weight_loader.ts";
import { golden, type GoldenFile, referenceText } from "../../golden.ts";

/** The parsed config.json of the tiny checkpoint. */
export async function tinyConfig(): Promise<Gemma3nConfig> {
  const file = "tiny/config.json";
  return parseGemma3nConfig(parseJsonObject(await referenceText(file), file));
}

/** A loader over the tiny checkpoint; `write()` fills what it declared, once the device is allocated. */
export interface TinyCheckpoint {
  readonly loader: WeightLoader;
  /** Full names declared so far. */
  readonly declared: ReadonlySet<string>;
  /** Full names in the checkpoint. */
  readonly names: readonly string[];
  write(): Promise<void>;
}

/** Opens the tiny checkpoint for a device. */
export async function tinyCheckpoint(device: Device): Promise<TinyCheckpoint> {
  const index = JSON.parse(
    await referenceText("tiny/model.safetensors.index.json"),
  ) as { weight_map: Record<string, string> };
  const shards = new Map<string, GoldenFile>();
  for (const file of new Set(Object.values(index.weight_map))) {
    shards.set(file, await golden(`tiny/${file}`));
  }
  const declared = new Set<string>();
  const writes: (() => Promise<void>)[] = [];

  const scoped = (prefix: string): WeightLoader => ({
    weight(kind, suffix, shape, options = {}): Weight {
      const name = prefix + suffix;
      const stored = shards.get(index.weight_map[name] ?? "")?.float32(name);
      if (stored === undefined || !sameShape(stored.shape, shape)) {
        throw new CheckpointError(
          `Cannot load tensor "${name}": config.json implies shape ${
            formatShape(shape)
          }, the checkpoint has ${
            stored === undefined ? "none" : formatShape(stored.shape)
          }`,
          { tensor: name },
        );
      }
      declared.add(name);
      const weight = device.declareWeight({ name, shape, kind });
      const data = options.map ? stored.data.map(options.map) : stored.data;
      const bytes = new Uint8Array(
        data.buffer,
        data.byteOffset,
        data.byteLength,
      );
      const rows = shape[0]!;
      writes.push(() =>
        device.writeWeight(weight, { firstRow: 0, rows, dtype: "f32", bytes })
      );
      return weight;
    },
    scope: (more) => scoped(prefix + more),
  });
  return {
    loader: scoped(""),
    declared,
    names: Object.keys(index.weight_map),
    async write() {
      for (const write of writes) await write();
    },
  };
}
