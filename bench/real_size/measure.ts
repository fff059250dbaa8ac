// What is asked of the engines, and in which order: each round asks every
// engine once, so that whatever else the machine does meets all of them.
import type { EngineProcess } from "./engine_protocol.ts";

const DECODE_TOKENS = 16;
const SHORT_PROMPTS = [128, 512];
const LONG_PROMPTS = [2048, 4096];
/** The prompt that is also timed without fast prefill. */
const FAST_PREFILL_PROMPT = 512;

/** Measured figures by engine and name. */
export class Figures {
  readonly #lists = new Map<string, number[]>();

  /** Adds one. */
  add(engine: string, name: string, value: number): void {
    const key = `${engine} ${name}`;
    this.#lists.set(key, [...this.#lists.get(key) ?? [], value]);
    console.error(`${key} ${value.toPrecision(4)}`);
  }

  /** The median; `undefined` where nothing was measured. */
  median(engine: string, name: string): number | undefined {
    const sorted = this.#lists.get(`${engine} ${name}`)?.toSorted((a, b) =>
      a - b
    );
    if (sorted === undefined) return undefined;
    const middle = sorted.length >> 1;
    return sorted.length % 2 === 1
      ? sorted[middle]
      : (sorted[middle - 1]! + sorted[middle]!) / 2;
  }

  /** The most values of one figure. */
  get turns(): number {
    return Math.max(...[...this.#lists.values()].map((list) => list.length));
  }

  /** The most that a best speed exceeds its median. */
  spread(): number {
    return [...this.#lists].reduce((most, [key, list]) => {
      if (!/ (prefill|decode) \d+$/.test(key)) return most;
      const [engine, ...name] = key.split(/ (?=prefill \d|decode \d)/);
      const median = this.median(engine!, name.join(" "))!;
      return Math.max(most, Math.max(...list) / median);
    }, 1);
  }

  /** The highest, or the lowest; `undefined` where nothing was measured. */
  best(engine: string, name: string, lowest = false): number | undefined {
    const list = this.#lists.get(`${engine} ${name}`);
    if (list === undefined) return undefined;
    return lowest ? Math.min(...list) : Math.max(...list);
  }
}

/** How much is measured. */
export interface MeasureOptions {
  readonly rounds: number;
  /** Prompts of thousands of tokens, too. */
  readonly long: boolean;
  /** Threads of the engines that get those. */
  readonly mostThreads: number;
}

/**
 * Measures engines named `runtime/what/threads`: prefill and the decode after
 * it, bounds of the machine between them, then memory.
 */
export async function measureModel(
  engines: ReadonlyMap<string, EngineProcess>,
  figures: Figures,
  { rounds, long, mostThreads }: MeasureOptions,
): Promise<void> {
  const isBounds = (name: string) => name.includes("/bounds/");
  const isSlow = (name: string) => name.includes("/slow prefill/");
  const models = [...engines].filter(([name]) => !isBounds(name));
  for (const [name, engine] of models) {
    figures.add(name, "load", await engine.call("load"));
    // Code is compiled and pages are there after one prompt.
    await engine.call("prefill", 32);
    await engine.call("decode", 4);
  }
  const take = async (tokens: number, name: string, engine: EngineProcess) => {
    const seconds = await engine.call("prefill", tokens);
    figures.add(name, `prefill ${tokens}`, tokens / seconds);
    const decoding = await engine.call("decode", DECODE_TOKENS);
    figures.add(name, `decode ${tokens}`, DECODE_TOKENS / decoding);
  };
  for (let round = 0; round < rounds; round++) {
    for (const [name, engine] of engines) {
      if (!isBounds(name)) continue;
      for (const rate of ["readRate", "dotRate", "kernelRate"]) {
        figures.add(name, rate, await engine.call(rate));
      }
    }
    for (const tokens of SHORT_PROMPTS) {
      for (const [name, engine] of models) {
        if (isSlow(name) && tokens !== FAST_PREFILL_PROMPT) continue;
        await take(tokens, name, engine);
      }
    }
  }
  for (const tokens of long ? LONG_PROMPTS : []) {
    for (const [name, engine] of models) {
      if (isSlow(name) || !name.endsWith(`/${mostThreads}`)) continue;
      await take(tokens, name, engine);
    }
  }
  for (const [name, engine] of models) {
    figures.add(name, "peak", await engine.call("peakBytes"));
    figures.add(name, "anonymous", await engine.call("anonymousBytes"));
  }
}
