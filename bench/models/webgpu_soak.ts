// Generates many tokens on the GPU and fails when something grows: buffers, bind
// groups, pipelines, or the process by more than submitting and mapping alone
// make it grow.
//
//   deno task soak --tokens 10000
import {
  control,
  ROUND_TOKENS,
  soak,
} from "../../tests/backends/webgpu/soak.ts";

/** What a process may grow beyond the control, for each 10,000 tokens, and at first. */
const RSS_PER_10K = 16 * 2 ** 20;
const RSS_AT_FIRST = 32 * 2 ** 20;
/** Of the prompt's steps and those of tokens, roughly. */
const SUBMITS_PER_TOKEN = 2;
/** Most submissions of the control, which grows evenly; a runtime may take 10 ms for each. */
const MOST_SUBMITS = 4000;
/** Share of the rounds that warm up. */
const WARM_UP = 0.1;

const at = Deno.args.indexOf("--tokens");
const tokens = at < 0 ? 2000 : Number(Deno.args[at + 1]);
const count = Math.max(4, Math.ceil(tokens / ROUND_TOKENS));
const mib = (bytes: number) => `${(bytes / 2 ** 20).toFixed(1)} MiB`;

// Before anything else, so that nothing is freed meanwhile.
const submits = SUBMITS_PER_TOKEN * tokens;
const tried = Math.min(MOST_SUBMITS, submits);
const alone = Math.max(0, await control(tried)) * submits / tried;
let next = 1;
const rounds = await soak(count, (round) => {
  if (round.tokens < next) return;
  next = round.tokens * 1.5;
  console.log(
    `${round.tokens} tokens: ${round.buffers} buffers of ` +
      `${
        mib(round.bufferBytes)
      }, ${round.made} bind groups and pipelines made, ` +
      `process ${mib(round.rss)}`,
  );
});
if (rounds === undefined) throw new Error("There is no GPU");
const first = rounds[Math.ceil(count * WARM_UP)]!;
const last = rounds.at(-1)!;
const growth = last.rss - first.rss;
const allowed = RSS_AT_FIRST + RSS_PER_10K * (last.tokens / 10_000);
console.log(
  `grew by ${mib(growth)} in ${last.tokens - first.tokens} tokens; ` +
    `submitting and mapping alone: ${mib(alone)}`,
);
for (const what of ["buffers", "bufferBytes", "made"] as const) {
  if (first[what] === last[what]) continue;
  throw new Error(`"${what}" grew from ${first[what]} to ${last[what]}`);
}
if (growth > alone + allowed) {
  throw new Error(`The process grew by more than ${mib(alone + allowed)}`);
}
console.log("nothing grows");
