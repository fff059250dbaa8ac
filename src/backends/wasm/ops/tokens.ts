// Choosing tokens where the logits are: a vocabulary is a megabyte, an id four
// bytes.
import type { Ops } from "../../../ops/ops.ts";
import { dims } from "../../../ops/shapes/check.ts";
import { OP } from "../op_codes.ts";
import type { Recorder } from "../recorder.ts";
import { COPY_COST, workOf } from "./rows.ts";

/** Logits whose largest is found in one go; where it lies is searched in one part alone. */
const PART = 4096;
/** Time to compare an element, in about a nanosecond. */
const COMPARE_COST = 0.2;

/** Choosing tokens. */
export function tokenOps(r: Recorder): Required<Pick<Ops, "argmax">> {
  return {
    argmax(logits) {
      const [rows, size] = dims(
        "argmax",
        "logits",
        logits,
        "[T,V]",
      ) as readonly [number, number];
      const x = r.own(logits);
      const parts = Math.ceil(size / PART);
      const maxima = r.output([rows, parts]);
      r.begin(
        OP.argmaxParts,
        workOf(rows * parts, Math.min(size, PART) * COMPARE_COST),
      ).tensor(x).tensor(maxima).sizes(size, PART);
      const ids = r.output([rows]);
      r.begin(OP.argmax, workOf(rows, (PART + parts) * COPY_COST))
        .tensor(x).tensor(maxima).tensor(ids).sizes(size, PART);
      return ids;
    },
  };
}
