// What threads gain: prefill and decode of the synthetic decoder on one and on
// several, by turns, so that both see the same machine.
import { Gemma3nForConditionalGeneration, hostTensor } from "../../mod.ts";
import { assertClose } from "../../tests/testing.ts";
import { DECODER_CONFIG } from "./decoder_bench.ts";
import { syntheticCheckpoint } from "./synthetic_checkpoint.ts";

const THREADS = [1, 2];
const ROUNDS = 5;
const PREFILL_TOKENS = 128;
const DECODE_TOKENS = 12;

type Model = Gemma3nForConditionalGeneration;

/** Validates that results are the same, then prints times and how they compare with one thread. */
export async function benchThreads(): Promise<void> {
  const source = syntheticCheckpoint(DECODER_CONFIG);
  const load = (threads: number): Promise<Model> =>
    Gemma3nForConditionalGeneration.fromPretrained(source, {
      device: "wasm",
      dtype: "f32",
      contextLength: 1024,
      maxBatchSize: 2,
      threads,
    });
  const models = await Promise.all(THREADS.map(load));
  const results = await Promise.all(
    models.map(async (model) => (await model.forward(prompt(7))).logits.data),
  );
  for (const found of results) {
    assertClose(found, results[0]!, { label: "logits on several threads" });
  }
  const prefills: number[][] = THREADS.map(() => []);
  const decodes: number[][] = THREADS.map(() => []);
  for (let round = 0; round < ROUNDS; round++) {
    for (const [i, model] of models.entries()) {
      using cache = model.createCache();
      const inputs = prompt(PREFILL_TOKENS);
      const options = { pastKeyValues: cache, logitsToKeep: 1 };
      prefills[i]!.push(await timed(() => model.forward(inputs, options)));
      for (let token = 0; token < DECODE_TOKENS; token++) {
        const one = prompt(1);
        decodes[i]!.push(await timed(() => model.forward(one, options)));
      }
    }
  }
  print(`prefill ${PREFILL_TOKENS}`, prefills);
  print(`decode at ${PREFILL_TOKENS}`, decodes);
  for (const model of models) await model.dispose();
}

function prompt(tokens: number) {
  const ids = Int32Array.from({ length: tokens }, (_, i) => (i * 7919) % 16384);
  return { inputIds: hostTensor("int32", [1, tokens], ids) };
}

async function timed(run: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await run();
  return performance.now() - started;
}

/** Best and median, and each against one thread. */
function print(name: string, times: readonly number[][]): void {
  const figures = times.map((list) => {
    const sorted = list.toSorted((a, b) => a - b);
    return { best: sorted[0]!, median: sorted[sorted.length >> 1]! };
  });
  const [one] = figures;
  for (const [i, { best, median }] of figures.entries()) {
    console.log(
      `${name.padEnd(20)} ${THREADS[i]} threads  best ${best.toFixed(1)} ms, ` +
        `median ${median.toFixed(1)} ms  ` +
        `${(one!.best / best).toFixed(2)} x and ` +
        `${(one!.median / median).toFixed(2)} x of one`,
    );
  }
}
