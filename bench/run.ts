// Runs the benches: deno task bench [part of a name]
//
// Every operation is compared with the reference before it is timed.
import { devices } from "../tests/testing.ts";
import { measureBounds, reportBounds } from "./harness.ts";
import { benchOp } from "./op_case.ts";
import { linearCases } from "./ops/linear_bench.ts";

const [reference, ...targets] = await devices();
const wanted = globalThis.Deno?.args[0] ?? "";

const bounds = await measureBounds();
reportBounds(bounds);
const cases = [...linearCases].filter(({ name }) => name.includes(wanted));
for (const target of targets) {
  for (const opCase of cases) await benchOp(opCase, target, reference!, bounds);
}
