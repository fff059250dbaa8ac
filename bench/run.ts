// Runs the benches:
//   deno task bench [part of a name]
//
// Every operation is compared with the reference before it is timed.
import { devices } from "../tests/testing.ts";
import { measureBounds, reportBounds } from "./harness.ts";
import { benchDecoder } from "./models/decoder_bench.ts";
import { benchSparsity } from "./models/sparsity_bench.ts";
import { benchThreads } from "./models/threads_bench.ts";
import { benchOp } from "./op_case.ts";
import { attentionCases, reportAttention } from "./ops/attention_bench.ts";
import { dataCases } from "./ops/data_bench.ts";
import { decoderCases } from "./ops/decoder_bench.ts";
import { elementwiseCases } from "./ops/elementwise_bench.ts";
import { linearCases } from "./ops/linear_bench.ts";
import { quantizedCases, reportRatios } from "./ops/quantized_bench.ts";
import { pictureCases } from "./ops/picture_bench.ts";
import { soundCases } from "./ops/sound_bench.ts";

const OP_CASES = [
  ...linearCases,
  ...quantizedCases,
  ...dataCases,
  ...elementwiseCases,
  ...decoderCases,
  ...attentionCases,
  ...pictureCases,
  ...soundCases,
];

const [reference, ...targets] = await devices();
const wanted = globalThis.process?.argv[2] ?? "";

const bounds = await measureBounds();
reportBounds(bounds);
for (const target of targets) {
  const seconds = new Map<string, number>();
  for (const opCase of OP_CASES) {
    const { name, kinds } = opCase;
    if (!name.includes(wanted)) continue;
    if (kinds && !kinds.includes(target.kind)) continue;
    seconds.set(name, await benchOp(opCase, target, reference!, bounds));
  }
  reportRatios(seconds);
  reportAttention(seconds);
}
if ("decoder".includes(wanted)) await benchDecoder(bounds);
if ("sparsity".includes(wanted)) await benchSparsity();
if ("threads".includes(wanted)) await benchThreads();
