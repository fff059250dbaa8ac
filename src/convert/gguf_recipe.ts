// Which number format each tensor gets in a GGUF file. Small and sensitive
// tensors stay in better ones, as llama.cpp has them for Gemma 3n and better:
// four bits everywhere cost a third in perplexity.
import { BLOCK_SIZES, type CheckpointDtype } from "../core/dtype.ts";
import type { ComputeDtype } from "../core/dtype.ts";
import type { Shape } from "../core/shape.ts";

/** What llama.cpp reads as float32 whatever the file's format, besides vectors. */
const FLOAT32 = /\.altup_(correct|predict)_coef\.weight$/;
/** AltUp, LAuReL, and the projection that makes per-layer inputs. */
const FLOAT16 =
  /(^|\.)(per_layer_model_proj|altup_proj|altup_unembd_proj|altup_router|laurel_l|laurel_r)\.weight$/;
/** Embeddings (the first is the head, too) and per-layer input projections. */
const EIGHT_BITS = /(token_embd|\.inp_gate|\.proj)\.weight$/;

/**
 * Number format of a tensor.
 *
 * @param name As in the GGUF file.
 * @param dtype What the user asked for.
 */
export function ggufDtype(
  name: string,
  shape: Shape,
  dtype: ComputeDtype,
): CheckpointDtype {
  if (dtype === "f32" || shape.length < 2 || FLOAT32.test(name)) return "f32";
  if (dtype === "f16" || FLOAT16.test(name)) return "f16";
  const wanted = dtype === "q8" || EIGHT_BITS.test(name) ? "q8_0" : "q4_0";
  return shape.at(-1)! % BLOCK_SIZES[wanted].values === 0 ? wanted : "f16";
}
