// llama.cpp through npm `node-llama-cpp`, on the CPU. The package is not among
// the library's dependencies: run `npm install` in this folder first.

/** What is used of the package. */
interface NodeLlamaCpp {
  getLlama(options: {
    gpu: false;
    build: "never";
    maxThreads: number;
    logLevel: "error";
  }): Promise<Llama>;
}

interface Llama {
  loadModel(options: { modelPath: string }): Promise<LlamaModel>;
  dispose(): Promise<void>;
}

interface LlamaModel {
  createContext(
    options: { contextSize: number; threads: number },
  ): Promise<LlamaContext>;
  dispose(): Promise<void>;
}

interface LlamaContext {
  getSequence(): LlamaSequence;
  dispose(): Promise<void>;
}

type EvaluateInput =
  | number
  | [number, { generateNext: { probabilities?: true; token: true } }];

interface LlamaSequence {
  controlledEvaluate(input: EvaluateInput[]): Promise<
    (
      | { next?: { token: number; probabilities?: Map<number, number> } }
      | undefined
    )[]
  >;
  clearHistory(): Promise<void>;
}

/** A model in llama.cpp. */
export interface PeerModel extends AsyncDisposable {
  /**
   * Greedy continuation.
   *
   * @returns The new ids, and before each the logarithms of the probabilities of all.
   */
  generate(
    ids: readonly number[],
    newTokens: number,
  ): Promise<{ ids: number[]; logProbabilities: Float32Array[] }>;
  /** Goes on by ids; gives the likeliest next. */
  evaluate(ids: readonly number[]): Promise<number>;
  /** Forgets all ids. */
  forget(): Promise<void>;
}

/** Loads a GGUF file into llama.cpp. */
export async function loadPeer(
  path: string,
  { threads, contextLength }: { threads: number; contextLength: number },
): Promise<PeerModel> {
  const name = "node-llama-cpp";
  const { getLlama } = await import(name) as NodeLlamaCpp;
  const llama = await getLlama({
    gpu: false,
    build: "never",
    maxThreads: threads,
    logLevel: "error",
  });
  const model = await llama.loadModel({ modelPath: path });
  const context = await model.createContext({
    contextSize: contextLength,
    threads,
  });
  const sequence = context.getSequence();
  return {
    async generate(prompt, newTokens) {
      await sequence.clearHistory();
      const ids: number[] = [];
      const logProbabilities: Float32Array[] = [];
      let input = [...prompt];
      while (ids.length < newTokens) {
        const last = input.length - 1;
        const results = await sequence.controlledEvaluate(
          input.map((id, i) =>
            i === last
              ? [id, { generateNext: { probabilities: true, token: true } }]
              : id
          ),
        );
        const { token, probabilities } = results.at(-1)!.next!;
        const logs = new Float32Array(probabilities!.size);
        for (const [id, p] of probabilities!) logs[id] = Math.log(p);
        logProbabilities.push(logs);
        ids.push(token);
        input = [token];
      }
      return { ids, logProbabilities };
    },
    async evaluate(ids) {
      const input: EvaluateInput[] = [...ids];
      input.push([input.pop() as number, { generateNext: { token: true } }]);
      const results = await sequence.controlledEvaluate(input);
      return results.at(-1)!.next!.token;
    },
    forget: () => sequence.clearHistory(),
    async [Symbol.asyncDispose]() {
      await model.dispose();
      await llama.dispose();
    },
  };
}
