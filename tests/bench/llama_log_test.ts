// What llama.cpp logs: times, and where a graph is computed.
import assert from "node:assert/strict";
import { test } from "node:test";
import { LlamaLog } from "../../bench/peers/llama_log.ts";

const TIMES = [
  "llama_perf_context_print:        load time =  134414.22 ms",
  "llama_perf_context_print: prompt eval time =    256.50 ms /   512 tokens (    0.50 ms per token,  1996.10 tokens per second)",
  "llama_perf_context_print:        eval time =     32.00 ms /     8 runs   (    4.00 ms per token,   250.00 tokens per second)",
  "llama_perf_context_print:       total time =    300.00 ms /   520 tokens",
  "llama_perf_context_print:    graphs reused =          7",
];
const split = (i: number, rest: string) => `## SPLIT #${i}: ${rest}`;
const GRAPH = [
  split(0, "CPU # 0 inputs"),
  "node #  0 (  GET_ROWS):                 embd (   1K) [  CPU         ] use=1,c=1:",
  "  token_embd.weight ( 548K) [  CPU         ]",
  "node #  1 (  GET_ROWS):               node_1 (  30K) [  CPU         ] use=1,c=1:",
  split(1, "Vulkan0 # 10 inputs: "),
  "node #  3 (     SCALE): inp_per_layer_select (  30K) [Vulka         ] use=1,c=1:",
  "node # 12 (      ROPE):               node_9 (  30K) [  CPU         ] use=1,c=1:",
];

function logOf(lines: readonly string[]): LlamaLog {
  const log = new LlamaLog();
  for (const line of lines) log.add(line);
  return log;
}

test("times() gives those of prompts and of single tokens", async () => {
  assert.deepEqual(await logOf(TIMES).times(), {
    prompt: { tokens: 512, seconds: 0.2565 },
    token: { tokens: 8, seconds: 0.032 },
  });
});

test("times() waits for the last line, and not for those it forgot", async () => {
  const log = logOf(TIMES);
  log.forgetTimes();
  const later = TIMES.map((line) =>
    line.replace("/     8 runs", "/     9 runs")
  );
  setTimeout(() => later.forEach((line) => log.add(line)), 20);
  assert.equal((await log.times()).token.tokens, 9);
});

test("operationsOnCpu() counts those of the last graph", () => {
  const first = GRAPH.map((line) => line.replace("ROPE", "SOFT_MAX"));
  assert.deepEqual(logOf([...first, ...GRAPH]).operationsOnCpu(), [
    "2 GET_ROWS",
    "1 ROPE",
  ]);
  assert.throws(() => logOf([]).operationsOnCpu(), /no graph/);
});

test("found() gives the last line, and says what it looked for", () => {
  const log = logOf(["offloaded 3/31 layers", "offloaded 31/31 layers"]);
  assert.equal(log.found(/offloaded (\d+)/)[1], "31");
  assert.throws(() => log.found(/splits = (\d+)/), /splits = /);
});
