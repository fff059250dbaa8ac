// The operations of the WASM device: each checks its arguments and records
// commands for the kernels.
import type { Ops } from "../../ops/ops.ts";
import { dataOps } from "./ops/data.ts";
import { decoderOps } from "./ops/decoder.ts";
import { elementwiseOps } from "./ops/elementwise.ts";
import { pictureOps } from "./ops/pictures.ts";
import { soundOps } from "./ops/sound.ts";
import { tokenOps } from "./ops/tokens.ts";
import type { Recorder } from "./recorder.ts";

/**
 * Makes the operations that record into `recorder`. One that throws leaves
 * nothing recorded.
 */
export function createOps(recorder: Recorder): Ops {
  const ops: Ops = {
    ...dataOps(recorder),
    ...elementwiseOps(recorder),
    ...decoderOps(recorder),
    ...pictureOps(recorder),
    ...soundOps(recorder),
    ...tokenOps(recorder),
    repeat: (key, inputs, record, segments) =>
      recorder.repeat(key, inputs, record, segments),
  };
  const whole =
    <A extends unknown[], R>(op: (...args: A) => R) => (...args: A) =>
      recorder.whole(() => op(...args));
  return Object.fromEntries(
    Object.entries(ops).map(([name, op]) => [name, whole(op)]),
  ) as unknown as Ops;
}
