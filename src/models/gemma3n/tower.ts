// A tower (vision or audio) on a device of its own: checked when the model
// loads, read into memory at first use.
import type { WeightFormat } from "../../core/dtype.ts";
import type { Checkpoint } from "../../io/checkpoint.ts";
import {
  CheckpointWeights,
  type LoadOptions,
} from "../../ops/checkpoint_weights.ts";
import type { Device } from "../../ops/device.ts";
import type { Tensor } from "../../ops/ops.ts";
import { weightFormats } from "./weight_formats.ts";

/** Size of an input that decides the memory of a step: [rows, columns] of a picture, [frames, 1] of a clip. */
export type TowerSize = readonly [number, number];

/** What makes a tower. */
export interface TowerOptions<W> {
  readonly checkpoint: Checkpoint;
  readonly createDevice: () => Promise<Device>;
  /** How most weights are kept. */
  readonly dtype: WeightFormat;
  /** Names the weights. */
  readonly declare: (load: CheckpointWeights) => W;
  /** Records a step of this size. */
  readonly record: (device: Device, weights: W, size: TowerSize) => Tensor;
}

interface Resident<W> {
  readonly device: Device;
  readonly weights: W;
  readonly loader: CheckpointWeights;
}

/** A loaded tower, ready for steps. */
export type ReadyTower<W> = Pick<Resident<W>, "device" | "weights">;

/** Weights of a tower, and the device they are on once they are needed. */
export class Tower<W> implements AsyncDisposable {
  /** Names of the tensors it uses. */
  readonly tensorNames: readonly string[];
  readonly #options: TowerOptions<W>;
  #resident: Resident<W>;
  /** Largest step there is memory for; [0, 0] before the first use. */
  #planned: TowerSize = [0, 0];

  private constructor(options: TowerOptions<W>, resident: Resident<W>) {
    this.#options = options;
    this.#resident = resident;
    this.tensorNames = resident.loader.names();
  }

  /**
   * Checks the tower's tensors against its config; reads none.
   *
   * @throws {CheckpointError} When one is missing or has another shape.
   */
  static async create<W>(options: TowerOptions<W>): Promise<Tower<W>> {
    return new Tower(options, await declare(options));
  }

  /**
   * Loads the tower unless it is loaded with room for inputs of this size. A
   * memory never grows, so a larger input than before loads the tower anew.
   */
  async use(size: TowerSize, load: LoadOptions = {}): Promise<ReadyTower<W>> {
    const [rows, columns] = this.#planned;
    if (size[0] <= rows && size[1] <= columns) return this.#resident;
    if (rows > 0) {
      await this.#resident.device[Symbol.asyncDispose]();
      this.#resident = await declare(this.#options);
    }
    const largest = [
      Math.max(size[0], rows),
      Math.max(size[1], columns),
    ] as const;
    this.#planned = [0, 0];
    const { device, weights, loader } = this.#resident;
    device.plan(() => [this.#options.record(device, weights, largest)]);
    try {
      await device.allocate();
      await loader.load(load);
    } catch (error) {
      await device[Symbol.asyncDispose]();
      this.#resident = await declare(this.#options);
      throw error;
    }
    this.#planned = largest;
    return this.#resident;
  }

  /** Gives the memory back. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resident.device[Symbol.asyncDispose]();
  }
}

async function declare<W>(options: TowerOptions<W>): Promise<Resident<W>> {
  const device = await options.createDevice();
  const loader = new CheckpointWeights(
    device,
    options.checkpoint,
    weightFormats(options.dtype),
  );
  return { device, weights: options.declare(loader), loader };
}
