// The operations of the WebGPU device: each checks its arguments and records
// dispatches of kernels.
import type { Ops } from "../../ops/ops.ts";
import type { TokenOps } from "../../ops/token_ops.ts";
import type { SubgroupFeatures } from "./features.ts";
import { attentionOps } from "./ops/attention.ts";
import { dataOps } from "./ops/data.ts";
import { decoderOps } from "./ops/decoder.ts";
import { decoderLayerOp } from "./ops/decoder_layer.ts";
import { elementwiseOps } from "./ops/elementwise.ts";
import { linearOps } from "./ops/linear.ts";
import { pictureOps } from "./ops/pictures.ts";
import { repeatOp } from "./ops/repeat.ts";
import { soundOps } from "./ops/sound.ts";
import { streamsOps } from "./ops/streams.ts";
import { type TokenMemory, tokenOps } from "./ops/tokens.ts";
import type { Recorder } from "./recorder.ts";

/**
 * Makes the operations that record into `recorder`. One that throws leaves
 * nothing recorded.
 */
export function createOps(
  recorder: Recorder,
  subgroups: SubgroupFeatures,
  limits: GPUSupportedLimits,
): Ops {
  const ops: Ops = {
    ...dataOps(recorder),
    ...linearOps(recorder, subgroups),
    ...elementwiseOps(recorder),
    ...decoderOps(recorder),
    ...attentionOps(recorder),
    decoderLayer: decoderLayerOp(recorder, subgroups, limits),
    ...streamsOps(recorder, subgroups, limits),
    ...pictureOps(recorder, subgroups),
    ...soundOps(recorder),
    repeat: repeatOp(recorder),
  };
  return wholeOps(recorder, ops);
}

/** Makes the operations on chosen tokens, likewise. */
export function createTokenOps(
  recorder: Recorder,
  memory: TokenMemory,
  requireDeclaring: (action: string) => void,
): TokenOps {
  return wholeOps(recorder, tokenOps(recorder, memory, requireDeclaring));
}

function wholeOps<O extends object>(recorder: Recorder, ops: O): O {
  const whole =
    <A extends unknown[], R>(name: string, op: (...args: A) => R) =>
    (...args: A) => recorder.whole(name, () => op(...args));
  return Object.fromEntries(
    Object.entries(ops).map(([name, op]) => [name, whole(name, op)]),
  ) as O;
}
