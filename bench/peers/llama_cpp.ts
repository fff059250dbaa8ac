// llama.cpp through npm `node-llama-cpp`, on the CPU or a GPU. The package is not
// among the library's dependencies: run `npm install` in this folder first.

/** What is used of the package. */
interface NodeLlamaCpp {
  getLlama(options: {
    gpu: false | "vulkan";
    build: "never";
    maxThreads: number;
    logLevel: "error" | "debug";
    logger?: (level: string, message: string) => void;
  }): Promise<Llama>;
}

interface Llama {
  readonly llamaCppRelease: { readonly release: string };
  getGpuDeviceNames(): Promise<string[]>;
  loadModel(
    options: {
      modelPath: string;
      gpuLayers?: "max";
      ignoreMemorySafetyChecks?: boolean;
    },
  ): Promise<LlamaModel>;
  dispose(): Promise<void>;
}

interface LlamaModel {
  createContext(
    options: {
      contextSize: number;
      threads: number;
      batchSize?: number;
      performanceTracking?: boolean;
      ignoreMemorySafetyChecks?: boolean;
    },
  ): Promise<LlamaContext>;
  dispose(): Promise<void>;
}

interface LlamaContext {
  getSequence(): LlamaSequence;
  printTimings(): Promise<void>;
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

/** A GGUF file in llama.cpp. */
export interface PeerFile extends AsyncDisposable {
  /** Of llama.cpp. */
  readonly version: string;
  /** Names of the GPUs that it uses, none on the CPU. */
  readonly gpus: readonly string[];
  /** Makes a context; `batchSize` is the most tokens computed together. */
  start(contextLength: number, batchSize?: number): Promise<PeerModel>;
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
  /** Has llama.cpp log the times it took since the last call; on a GPU only. */
  logTimes(): Promise<void>;
}

/** Loads a GGUF file into llama.cpp, on the CPU. */
export async function loadPeer(
  path: string,
  { threads, contextLength }: { threads: number; contextLength: number },
): Promise<PeerModel> {
  const file = await openPeer(path, { threads });
  return {
    ...await file.start(contextLength),
    [Symbol.asyncDispose]: () => file[Symbol.asyncDispose](),
  };
}

/**
 * Loads a GGUF file into llama.cpp. With `onVulkanLog` it is on the first GPU
 * that Vulkan has, and what llama.cpp says goes there line by line. One at a
 * time: a second one's log would be lost.
 */
export async function openPeer(
  path: string,
  { threads, onVulkanLog }: {
    threads: number;
    onVulkanLog?: (line: string) => void;
  },
): Promise<PeerFile> {
  const name = "node-llama-cpp";
  const { getLlama } = await import(name) as NodeLlamaCpp;
  const llama = await getLlama({
    gpu: onVulkanLog ? "vulkan" : false,
    build: "never",
    maxThreads: threads,
    logLevel: onVulkanLog ? "debug" : "error",
    ...onVulkanLog && {
      logger: (_, message) => message.split("\n").forEach(onVulkanLog),
    },
  });
  const onGpu = onVulkanLog && {
    // What does not fit is an error of the driver, not fewer layers.
    ignoreMemorySafetyChecks: true,
  };
  const model = await llama.loadModel({
    modelPath: path,
    ...onGpu && { gpuLayers: "max", ...onGpu },
  });
  return {
    version: llama.llamaCppRelease.release,
    gpus: onGpu ? await llama.getGpuDeviceNames() : [],
    start: async (contextLength, batchSize) =>
      peerModel(
        await model.createContext({
          contextSize: contextLength,
          threads,
          ...batchSize && { batchSize },
          ...onGpu && { performanceTracking: true, ...onGpu },
        }),
      ),
    async [Symbol.asyncDispose]() {
      await model.dispose();
      await llama.dispose();
    },
  };
}

function peerModel(context: LlamaContext): PeerModel {
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
    logTimes: () => context.printTimings(),
    [Symbol.asyncDispose]: () => context.dispose(),
  };
}
