// Where the time of a decoded token goes, by operation of the WASM device on
// one thread: the least time of each command of a step over the tokens, so that
// other work on the machine counts little.
//   deno run -A bench/real_size/command_times.ts FILE [PROMPT_TOKENS] [TOKENS]
import process from "node:process";
import { Gemma3nForCausalLM, hostTensor } from "../../mod.ts";
import type { Engine } from "../../src/backends/wasm/memory.ts";
import { OP } from "../../src/backends/wasm/op_codes.ts";
import { Queue } from "../../src/backends/wasm/queue.ts";
import {
  COMMAND_BYTES,
  type PlannedStep,
} from "../../src/backends/wasm/recorder.ts";
import { promptIds } from "./engine_protocol.ts";

/** Larger than the cost of any command. */
const WHOLE_COMMAND = 0x7fff_ffff;
/** Tokens until the engine has compiled its code. */
const WARM_UP_TOKENS = 4;

/** Runs steps a command at a time and keeps the least time of each. */
class CommandTimes {
  readonly #names = new Map<number, string>(
    Object.entries(OP).map(([name, op]) => [op, name]),
  );
  #ops: string[] = [];
  #least: number[] = [];

  /** Instead of `Queue.run`. */
  run(
    engine: Engine,
    { commands }: Pick<PlannedStep, "commands">,
  ): Promise<void> {
    const { memory, kernels, layout } = engine;
    const base = layout.activations;
    const words = new Uint32Array(memory.buffer);
    if (commands !== this.#least.length) {
      // Another kind of step than the one before.
      this.#ops = [];
      this.#least = new Array(commands).fill(Infinity);
    }
    for (let i = 0; i < commands; i++) {
      const command = base + i * COMMAND_BYTES;
      words.fill(0, layout.cursor / 4, layout.cursor / 4 + 2);
      const started = performance.now();
      kernels.execute(command, 1, layout.cursor, WHOLE_COMMAND);
      const time = performance.now() - started;
      this.#least[i] = Math.min(this.#least[i]!, time);
      this.#ops[i] = this.#names.get(words[command / 4]!)!;
    }
    return Promise.resolve();
  }

  /** Operations, the longest first. */
  print(): void {
    const sums = new Map<string, { ms: number; count: number }>();
    this.#ops.forEach((op, i) => {
      const { ms, count } = sums.get(op) ?? { ms: 0, count: 0 };
      sums.set(op, { ms: ms + this.#least[i]!, count: count + 1 });
    });
    const all = this.#least.reduce((sum, ms) => sum + ms, 0);
    console.log(`${this.#ops.length} commands, ${all.toFixed(1)} ms`);
    const sorted = [...sums].toSorted(([, a], [, b]) => b.ms - a.ms);
    for (const [op, { ms, count }] of sorted) {
      const share = (100 * ms / all).toFixed(1);
      console.log(
        `${op.padEnd(20)} ${String(count).padStart(4)} x` +
          `${ms.toFixed(2).padStart(8)} ms ${share.padStart(5)} %`,
      );
    }
  }
}

const [path, prompt = "128", tokens = "24"] = process.argv.slice(2);
const times = new CommandTimes();
await measure();
times.print();
process.exit(0);

async function measure(): Promise<void> {
  await using model = await Gemma3nForCausalLM.fromPretrained(path!, {
    device: "wasm",
    threads: 1,
    contextLength: Number(prompt) + Number(tokens) + 2 * WARM_UP_TOKENS,
    maxBatchSize: 1,
  });
  using cache = model.createCache();
  let ids = Int32Array.from(promptIds(Number(prompt)));
  const goOn = async (maxNewTokens: number) => {
    const { sequences } = await model.generate({
      inputIds: hostTensor("int32", [1, ids.length], ids),
      pastKeyValues: cache,
      maxNewTokens,
      doSample: false,
      eosTokenId: [],
    });
    ids = Int32Array.from(sequences[0]!);
  };
  await goOn(WARM_UP_TOKENS);
  // The model has one queue for its decoder; it has loaded all there is.
  Queue.prototype.run = (engine, step) => times.run(engine, step);
  await goOn(Number(tokens));
}
