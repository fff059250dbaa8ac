// Plans of steps: recorded before the memory is taken, for what they need.
import type { KvSpec } from "../../ops/ops.ts";
import type {
  ChosenTokens,
  DecoderParts,
  HostTokens,
  StepRecorder,
  StepValues,
} from "./step_recorder.ts";
import { scheduleSteps } from "./step_schedule.ts";

/** What a plan is made for. */
export interface PlanOptions {
  readonly fastPrefill: boolean;
  readonly contextLength: number;
  /** Sizes of the caches of a sequence, which are full at the end of a step. */
  readonly specs: readonly KvSpec[];
}

/** Options of {@link planStep}. */
export interface PlanStepOptions extends PlanOptions {
  /** New rows of each sequence. */
  readonly sequences: readonly number[];
  /** How many of a sequence's last rows are wanted. */
  readonly keep: number;
  readonly outputHiddenStates: boolean;
  /** Whether the logits come back, or hidden states. */
  readonly logits: boolean;
}

/**
 * Plans a step.
 *
 * Once with text alone and once with every kind of embedding: the vision and
 * audio vocabularies pass through the width of their towers, which may be the
 * widest there is. And with rows of the per-layer table from the device and
 * from the host, where it is not known yet whether the device has room for it.
 */
export function planStep(
  { device, config, table }: DecoderParts,
  recorder: StepRecorder,
  { sequences, keep, specs, contextLength, logits, ...options }:
    PlanStepOptions,
): void {
  const { textConfig, visionConfig, audioConfig } = config;
  const { numHiddenLayers, hiddenSizePerLayerInput, hiddenSize } = textConfig;
  const rows = sequences.reduce((sum, count) => sum + count, 0);
  const [step] = scheduleSteps(
    sequences.map((newTokens) => ({
      pastLength: contextLength - newTokens,
      newTokens,
      keep,
    })),
    rows,
  );
  const text = new Int32Array(rows);
  const mixed = new Int32Array(rows).fill(visionConfig?.vocabOffset ?? 0);
  if (rows > 2) mixed.set([0, 0, audioConfig?.vocabOffset ?? 0]);
  const softRow = new Float32Array(hiddenSize);
  const hostRows = new Float32Array(
    rows * numHiddenLayers * hiddenSizePerLayerInput,
  );
  for (const tableRows of table.weight ? [undefined, hostRows] : [hostRows]) {
    for (const ids of [text, mixed]) {
      const soft = Array.from(
        ids,
        (_, t) => ids === mixed && t === 1 ? softRow : undefined,
      );
      device.plan(() => {
        const caches = specs.map((spec) => device.createKvStore(spec));
        const stores = sequences.map(() => caches);
        const values = { tokens: { ids, soft, tableRows }, stores };
        const { hidden, hiddenStates } = recorder.step(step!, values, options);
        return [logits ? recorder.logits(hidden!) : hidden!, ...hiddenStates];
      });
    }
  }
}

/**
 * Plans the last of the steps in which the device chooses, for so many
 * sequences; with what it chose before, where it may have the per-layer table,
 * and with tokens of the host.
 */
export function planChoice(
  { device, config: { textConfig }, table }: DecoderParts,
  recorder: StepRecorder,
  sequences: number,
  { fastPrefill, contextLength, specs }: PlanOptions,
): void {
  const inputs = Array.from({ length: sequences }, () => ({
    pastLength: contextLength - 1,
    newTokens: 1,
    keep: 1,
  }));
  const [step] = scheduleSteps(inputs, sequences);
  const key = { seed: 0, step: 0, stream: 0 };
  const keys = inputs.map(() => key);
  const all = { temperature: 1, topK: 0, topP: 1 };
  const likeliest = { ...all, topK: 1 };
  const { numHiddenLayers, hiddenSizePerLayerInput } = textConfig;
  const fed = {
    ids: new Int32Array(sequences),
    soft: inputs.map(() => undefined),
    tableRows: new Float32Array(
      sequences * numHiddenLayers * hiddenSizePerLayerInput,
    ),
  };
  const valuesOf = (tokens: HostTokens | ChosenTokens): StepValues => {
    const caches = specs.map((spec) => device.createKvStore(spec));
    return { tokens, stores: inputs.map(() => caches) };
  };
  if (device.tokens === undefined) {
    device.plan(() => [recorder.likeliest(step!, valuesOf(fed), fastPrefill)]);
    return;
  }
  for (const tokens of table.weight ? [fed, { slot: 0 }] : [fed]) {
    for (const sampling of [undefined, all, likeliest]) {
      device.plan(() => {
        const values = valuesOf(tokens);
        const noise = sampling && { keys, sampling };
        recorder.choice(step!, values, { fastPrefill, slot: 0, noise });
        return [device.tokens!.chosen(sequences)];
      });
    }
  }
}
