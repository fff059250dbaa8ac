// What a processor gives and a model takes.
import type { HostTensor } from "../core/tensor.ts";

/** Model inputs: B sequences of T tokens with N pictures and C clips in all. */
export interface BatchFeature {
  /** int32 `[B, T]`. */
  readonly inputIds: HostTensor<"int32">;
  /** int32 `[B, T]`, 1 = a token, 0 = padding. */
  readonly attentionMask: HostTensor<"int32">;
  /** int32 `[B, T]`: 1 for image soft tokens, 3 for audio ones, else 0. */
  readonly tokenTypeIds: HostTensor<"int32">;
  /** float32 `[N, 3, H, W]`; only with pictures. */
  readonly pixelValues?: HostTensor<"float32">;
  /** float32 `[C, F, 128]`; only with sound. */
  readonly inputFeatures?: HostTensor<"float32">;
  /** uint8 `[C, F]`, 1 = valid; only with sound. */
  readonly inputFeaturesMask?: HostTensor<"uint8">;
}
