// Kernels that are made once for a shape.
import type { LayerKernel } from "../kernels/decoder_layer/layer_shape.ts";
import type { Dispatch } from "../recorder.ts";
import type { Region } from "../tensors.ts";

/** Kernels by name and shape. */
const made = new Map<string, LayerKernel>();
/** Their code: shapes that differ in what a kernel does not use have the same. */
const codes = new Map<string, string>();

/** Kernels of one shape. */
export class KernelSet {
  private readonly key: string;
  private readonly own = new Map<string, LayerKernel>();

  constructor(shape: object) {
    this.key = JSON.stringify(shape);
  }

  /** The kernel of this name, which `make` makes when it is first wanted. */
  get(name: string, make: () => LayerKernel): LayerKernel {
    let kernel = this.own.get(name);
    if (kernel === undefined) {
      const key = `${name} ${this.key}`;
      kernel = made.get(key) ?? sameStrings(make());
      made.set(key, kernel);
      this.own.set(name, kernel);
    }
    return kernel;
  }
}

/** The same string for the same kernel: it is the key of its pipelines. */
function sameStrings(kernel: LayerKernel): LayerKernel {
  const { code } = kernel;
  const known = codes.get(code) ?? code;
  codes.set(known, known);
  return { ...kernel, code: known };
}

/** The buffer of the weights, as often as a kernel binds it. */
export function weightReads(
  { weightViews }: LayerKernel,
  region: Region,
): readonly Region[] {
  return Array.from({ length: weightViews }, () => region);
}

/** A kernel as a dispatch has it. */
export function kernelOf(
  { label, code, groups, cost }: LayerKernel,
): Pick<Dispatch, "label" | "code" | "workgroups" | "cost"> {
  return { label, code, workgroups: [groups, 1, 1], cost };
}
