// Which weights are kept in which format, by the dtype a user asks for.
//
// | weights                                            | f32 | q8  | q4  |
// | -------------------------------------------------- | --- | --- | --- |
// | attention and MLP of the decoder                   | f32 | q8  | q4  |
// | embeddings, head, AltUp and LAuReL, per-layer      | f32 | q8  | q8  |
// | inputs; convolutions and matrices of the towers    |     |     |     |
// | vectors, depthwise convolutions, fewer than 8      | f32 | f32 | f32 |
// | outputs, rows that are no whole groups of 32       |     |     |     |
//
// Four bits everywhere cost a third in perplexity. A file's own blocks of four
// bits are kept where q8 is meant: eight bits would add nothing.
import { isBlockDtype, type WeightFormat } from "../../core/dtype.ts";
import { numel } from "../../core/shape.ts";
import type { ChooseFormat } from "../../ops/checkpoint_weights.ts";
import { canQuantize } from "../../ops/device.ts";

/** Matrices that four bits suffice for. */
const FOUR_BITS =
  /(^|\.)layers\.\d+\.(self_attn|mlp)\.(q|k|v|o|gate|up|down)_proj\.weight$/;
/** Fewer outputs than fill a tile are not worth it: AltUp's coefficients. */
const MIN_OUTPUTS = 8;

/** The table above, as a function. */
export function weightFormats(dtype: WeightFormat): ChooseFormat {
  return (spec, stored) => {
    const isSmall = spec.shape[0]! < MIN_OUTPUTS;
    if (dtype === "f32" || isSmall || !canQuantize(spec)) return "f32";
    // Blocks along a row are not those along the channels of a place.
    const isFilter = numel(spec.shape.slice(2)) > 1;
    if (isFilter && isBlockDtype(stored)) return "f32";
    if (stored === "q4_0") return "q4";
    return dtype === "q4" && FOUR_BITS.test(spec.name) ? "q4" : "q8";
  };
}
