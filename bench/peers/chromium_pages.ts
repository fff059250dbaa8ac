// Pages that time a language model in a browser. Each tells its figures as JSON
// to /told, and ends with `{"end":true}`.

/** What a page needs to know. */
export interface PageOptions {
  /** Name of the GGUF file on the server. */
  readonly file: string;
  readonly threads: number;
  /** Prompts by their number of tokens, as often as they are to be timed. */
  readonly prompts: readonly number[];
}

/** A figure that a page tells. */
export interface Told {
  readonly prompt?: number;
  readonly prefill?: number;
  readonly decode?: number;
  readonly load?: number;
  readonly threads?: number;
  readonly error?: string;
  readonly end?: boolean;
}

/** Tokens generated after a prompt. */
const DECODE_TOKENS = 16;
const CONTEXT_LENGTH = 1024;
/** About 18 tokens of the vocabulary of tests/reference/tiny. */
const SENTENCE =
  "The capital of France is a city where many people of all kinds live and work each day. ";

/** This library; ids are numbers. */
export function ourPage(options: PageOptions): string {
  return page(
    `import { Gemma3nForCausalLM, hostTensor } from "@g3n/core";`,
    options,
    `
    const source = new URL("/model/" + file, location.href).href;
    const model = await Gemma3nForCausalLM.fromPretrained(source, {
      device: "wasm", threads, contextLength: ${CONTEXT_LENGTH}, maxBatchSize: 1,
      onWarning: (error) => tell({ error }),
    });
    await tell({ load: seconds(started), threads });
    for (const prompt of prompts) {
      const cache = model.createCache();
      let ids = Int32Array.from({ length: prompt }, (_, i) => (i * 7919 + 13) % 262144);
      const generate = async (maxNewTokens) => {
        const begun = performance.now();
        const inputIds = hostTensor("int32", [1, ids.length], ids);
        const { sequences } = await model.generate({
          inputIds, pastKeyValues: cache, maxNewTokens, doSample: false, eosTokenId: [],
        });
        ids = Int32Array.from(sequences[0]);
        return seconds(begun);
      };
      const prefill = prompt / await generate(1);
      const decode = ${DECODE_TOKENS} / await generate(${DECODE_TOKENS});
      await tell({ prompt, prefill, decode });
      cache.dispose();
    }`,
  );
}

/** wllama, by its own clocks; prompts are text of about as many tokens. */
export function wllamaPage(options: PageOptions): string {
  return page(
    `import { Wllama } from "/wllama/index.js";`,
    options,
    `
    const wllama = new Wllama({ default: "/wllama/wasm/wllama.wasm" });
    const blob = await (await fetch("/model/" + file)).blob();
    await wllama.loadModel([blob], {
      n_ctx: ${CONTEXT_LENGTH}, n_threads: threads, n_gpu_layers: 0, n_parallel: 1,
    });
    await tell({ load: seconds(started), threads: wllama.getNumThreads() });
    for (const wanted of prompts) {
      const { timings } = await wllama.createCompletion({
        prompt: ${JSON.stringify(SENTENCE)}.repeat(Math.round(wanted / 18)),
        max_tokens: ${DECODE_TOKENS} + 1, temperature: 0, ignore_eos: true,
        cache_prompt: false,
      });
      await tell({
        prompt: timings.prompt_n, prefill: timings.prompt_per_second,
        decode: timings.predicted_per_second,
      });
    }`,
  );
}

function page(imports: string, options: PageOptions, body: string): string {
  return `${imports}
  const { file, threads, prompts } = ${JSON.stringify(options)};
  const tell = (figures) => fetch("/told", { method: "POST", body: JSON.stringify(figures) });
  const seconds = (since) => (performance.now() - since) / 1000;
  const started = performance.now();
  try {${body}
  } catch (error) {
    await tell({ error: String(error?.stack ?? error) });
  }
  await tell({ end: true });`;
}
