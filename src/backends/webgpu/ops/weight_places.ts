// Where weights of a group lie, as kernels count.
import type { Weight } from "../../../ops/ops.ts";
import type { MatrixPlace } from "../kernels/decoder_layer/layer_shape.ts";
import type { Region } from "../tensors.ts";
import type { WeightGroup } from "../weight_groups.ts";
import type { WebGpuWeight } from "../weights.ts";

const WORD_BYTES = 4;
const QUAD_BYTES = 16;

/** Places in a group, of weights that are known to be of it. */
export class Places {
  private readonly group: WeightGroup;

  constructor(group: WeightGroup) {
    this.group = group;
  }

  /** Quads before a vector. */
  vector(weight: Weight): number {
    const { values } = (weight as WebGpuWeight).parts[0]!;
    return this.group.offsetOf(values) / QUAD_BYTES;
  }

  matrix(weight: Weight): MatrixPlace {
    const { shape, format, parts } = weight as WebGpuWeight;
    const [rows, width] = shape as readonly [number, number];
    const { values, scales } = parts[0]!;
    const words = (region: Region) => this.group.offsetOf(region) / WORD_BYTES;
    const scaleWords = format === "f32" ? 0 : words(scales);
    return { format, rows, width, values: words(values), scales: scaleWords };
  }
}
