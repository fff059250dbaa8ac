// What the towers are given, checked before they are loaded for it.
import { InputError } from "../../core/errors.ts";
import { formatShape } from "../../core/shape.ts";
import type { HostTensor } from "../../core/tensor.ts";

/**
 * Refuses NaN and infinities, with which Transformers computes and answers
 * with noise.
 *
 * @throws {InputError} When a value is not finite.
 */
export function checkFinite(
  { data }: HostTensor<"float32">,
  name: string,
): void {
  const at = data.findIndex((value) => !Number.isFinite(value));
  if (at < 0) return;
  throw new InputError(
    `Cannot use ${name}: element ${at} is ${data[at]}, wanted finite numbers`,
  );
}

/**
 * Clips, frames and bins of features `[C, F, M]` and their mask `[C, F]`.
 *
 * @throws {InputError} When the shapes do not fit together.
 */
export function checkClips(
  features: HostTensor<"float32">,
  mask: HostTensor<"uint8">,
  featureSize: number,
): [number, number, number] {
  const [count, frames, bins] = features.shape;
  if (
    features.shape.length !== 3 || bins !== featureSize ||
    formatShape(mask.shape) !== formatShape([count!, frames!])
  ) {
    throw new InputError(
      `Cannot encode sound: inputFeatures are ${
        formatShape(features.shape)
      } and inputFeaturesMask is ${
        formatShape(mask.shape)
      }; [C,F,${featureSize}] and [C,F] are needed`,
    );
  }
  return [count!, frames!, bins!];
}
