// From a user's `device` and `dtype` to devices for the parts of a model.
import type { ComputeDtype } from "../core/dtype.ts";
import { InputError, UnsupportedError } from "../core/errors.ts";
import { numel } from "../core/shape.ts";
import type { Checkpoint } from "../io/checkpoint.ts";
import type { Device } from "../ops/device.ts";
import { createReferenceDevice } from "../ops/reference.ts";
import type { Platform } from "../platform/platform.ts";

/** Where to compute. `"auto"` takes the fastest that is here. */
export type DeviceOption = "auto" | "wasm" | "reference";

/** Number format of the weights. `"auto"` is f32 below 100 M parameters, else q4. */
export type DtypeOption = "auto" | ComputeDtype;

/** Devices by option, the names a message lists. */
const DEVICES: readonly DeviceOption[] = ["auto", "wasm", "reference"];
const AUTO_F32_PARAMETERS = 100e6;

/**
 * Makes devices of the wanted kind.
 *
 * @throws {UnsupportedError} For "webgpu", which is not there yet.
 * @throws {InputError} For an unknown name.
 */
export function deviceFactory(
  device: DeviceOption,
  platform: Platform,
  wasmModule: WebAssembly.Module | undefined,
): () => Promise<Device> {
  switch (device) {
    case "reference":
      return () => createReferenceDevice({ platform });
    case "auto":
    case "wasm":
      return async () => {
        const { createWasmDevice } = await import(
          "../backends/wasm/device.ts"
        );
        return await createWasmDevice({ platform, module: wasmModule });
      };
    default:
      throw unknownDevice(device satisfies never);
  }
}

function unknownDevice(device: string): Error {
  const known = DEVICES.map((name) => `"${name}"`).join(", ");
  return device === "webgpu"
    ? new UnsupportedError(
      `Cannot compute on "webgpu": this version runs on ${known}`,
    )
    : new InputError(`Cannot compute on "${device}": wanted one of ${known}`);
}

/**
 * Decides the number format.
 *
 * @throws {UnsupportedError} For any but f32, the one this version has.
 */
export function resolveDtype(
  dtype: DtypeOption,
  checkpoint: Checkpoint,
): "f32" {
  const parameters = countParameters(checkpoint);
  const resolved = dtype !== "auto"
    ? dtype
    : parameters < AUTO_F32_PARAMETERS
    ? "f32"
    : "q4";
  if (resolved === "f32") return "f32";
  const why = dtype === "auto"
    ? `, which "auto" means for ${Math.round(parameters / 1e6)} M parameters`
    : "";
  throw new UnsupportedError(
    `Cannot compute with weights in "${resolved}"${why}: this version has "f32"`,
  );
}

/** Number of values in all tensors. */
export function countParameters(checkpoint: Checkpoint): number {
  return checkpoint.names().reduce(
    (sum, name) => sum + numel(checkpoint.get(name).shape),
    0,
  );
}
