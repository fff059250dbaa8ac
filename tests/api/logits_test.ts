// Logits and hidden states of the tiny checkpoint against Transformers'.
import { test } from "node:test";

import type { Gemma3nForConditionalGeneration } from "../../src/api/gemma3n_for_conditional_generation.ts";
import type { Gemma3nOutput } from "../../src/api/model_io.ts";
import { golden } from "../golden.ts";
import {
  type CaseName,
  expectedInputs,
  loadTiny,
  logitsTolerance,
  MEDIA_CASES,
  MODEL_DEVICES,
  sliceColumns,
  TEXT_CASES,
} from "../model.ts";
import { assertClose } from "../testing.ts";

/** Of the largest value of a layer. */
const HIDDEN_STATES_RTOL = 3e-5;
/** Cases whose expected logits are of all positions; of the others, the last one. */
const ALL_POSITIONS: readonly string[] = ["text", "korean", "window", "batch"];

/** Cases of several pictures, which repeat what one shows. */
const SEVERAL: ReadonlySet<CaseName> = new Set(["images", "mixed"]);
const STEPPED = ["text", "window", "batch"] as const;

async function assertLogits(
  name: CaseName,
  { logits }: Gemma3nOutput,
  firstColumn: number,
  label: string,
): Promise<void> {
  const file = await golden();
  const expected = file.float32(`${name}.logits`);
  const mask = file.int32(`${name}.attention_mask`);
  const [B, columns, V] = logits.shape as [number, number, number];
  const T = mask.shape[1]!;
  const expectedColumns = expected.shape[1]!;
  for (let b = 0; b < B; b++) {
    for (let i = 0; i < columns; i++) {
      const column = firstColumn + i;
      if (mask.data[b * T + column] === 0) continue;
      const row = b * expectedColumns + column - (T - expectedColumns);
      assertClose(
        logits.data.subarray((b * columns + i) * V, (b * columns + i + 1) * V),
        expected.data.subarray(row * V, (row + 1) * V),
        { atol: logitsTolerance(name), label: `${label}, position ${column}` },
      );
    }
  }
}

for (const device of MODEL_DEVICES) {
  // Neither the scalar reference nor a GPU in software is fast at many short steps.
  const slow = device !== "wasm";
  // The scalar reference takes seconds for a picture.
  const names: readonly CaseName[] = device === "reference" ? TEXT_CASES : [
    ...TEXT_CASES,
    ...MEDIA_CASES.filter((name) => !slow || !SEVERAL.has(name)),
  ];
  for (const name of names) {
    test(`forward() gives Transformers' logits for ${name} on ${device}`, async () => {
      await using model = await loadTiny(device);
      const inputs = await expectedInputs(name);
      const logitsToKeep = ALL_POSITIONS.includes(name) ? 0 : 1;
      const output = await model.forward(inputs, { logitsToKeep });
      const T = inputs.inputIds.shape[1]!;
      const firstColumn = logitsToKeep === 0 ? 0 : T - 1;
      await assertLogits(name, output, firstColumn, name);
    });
  }

  test(`forward() gives Transformers' hidden states on ${device}`, async () => {
    await using model = await loadTiny(device);
    const inputs = await expectedInputs("text");
    const output = await model.forward(inputs, { outputHiddenStates: true });
    const file = await golden();
    for (const [layer, actual] of output.hiddenStates!.entries()) {
      const { data } = file.float32(`text.hidden_states.${layer}`);
      const largest = data.reduce((max, x) => Math.max(max, Math.abs(x)), 0);
      const atol = HIDDEN_STATES_RTOL * largest;
      assertClose(actual.data, data, { atol, label: `before layer ${layer}` });
    }
    await assertLogits("text", output, 0, "beside hidden states");
  });

  for (const prefillChunk of slow ? [5] : [1, 5, 7]) {
    for (const fastPrefill of slow ? [true] : [true, false]) {
      test(`steps of ${prefillChunk} rows give the same logits on ${device}, fast prefill ${fastPrefill}`, async () => {
        await using model = await loadTiny(device, {
          prefillChunk,
          fastPrefill,
        });
        for (const name of slow ? ["text"] as const : STEPPED) {
          const inputs = await expectedInputs(name);
          const T = inputs.inputIds.shape[1]!;
          const all = await model.forward(inputs);
          await assertLogits(name, all, 0, `${name}, all`);
          const last = await model.forward(inputs, { logitsToKeep: 1 });
          await assertLogits(name, last, T - 1, `${name}, last`);
        }
      });
    }
  }

  test(`feeding a cache piece by piece gives the same logits on ${device}`, async () => {
    await using model = await loadTiny(device);
    for (
      const [name, piece] of [["text", 1], ["korean", 3], [
        "window",
        50,
      ]] as const
    ) {
      using cache = model.createCache({ maxLength: 256 });
      await feed(model, name, cache, 0, piece);
    }
  });

  test(`a cropped cache grows again to the same logits on ${device}`, async () => {
    // Two rings: one that has wrapped (chunks of 8) and one that has not.
    for (const prefillChunk of slow ? [8] : [8, 512]) {
      await using model = await loadTiny(device, { prefillChunk });
      using cache = model.createCache({ maxLength: 256 });
      await feed(model, "window", cache, 0, 64);
      for (const length of [208, 207, -5]) {
        cache.crop(length);
        await feed(model, "window", cache, cache.length, 3);
      }
      cache.crop(0);
      await feed(model, "text", cache, 0, 4);
    }
  });
}

async function feed(
  model: Gemma3nForConditionalGeneration,
  name: CaseName,
  cache: ReturnType<Gemma3nForConditionalGeneration["createCache"]>,
  first: number,
  piece: number,
): Promise<void> {
  const { inputIds } = await expectedInputs(name);
  const T = inputIds.shape[1]!;
  for (let column = first; column < T; column += piece) {
    const last = Math.min(T, column + piece);
    const output = await model.forward(
      { inputIds: sliceColumns(inputIds, column, last) },
      { pastKeyValues: cache },
    );
    await assertLogits(name, output, column, `${name} from ${column}`);
  }
}
