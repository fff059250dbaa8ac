// Greedy ids of every case, as Transformers chose them.
import assert from "node:assert/strict";
import { test } from "node:test";

import type { ModelOptions } from "../../src/api/model_options.ts";
import {
  type CaseName,
  expectedIds,
  expectedInputs,
  loadTiny,
  MEDIA_CASES,
  MODEL_DEVICES,
  sliceColumns,
  TEXT_CASES,
} from "../model.ts";

for (const device of MODEL_DEVICES) {
  // Neither the scalar reference nor a GPU in software is fast with media.
  const names: readonly CaseName[] = device === "reference"
    ? TEXT_CASES
    : device === "webgpu"
    ? [...TEXT_CASES, "mixed"]
    : [...TEXT_CASES, ...MEDIA_CASES];
  for (const name of names) {
    test(`generate() chooses Transformers' ids for ${name} on ${device}`, async () => {
      await using model = await loadTiny(device);
      const inputs = await expectedInputs(name);
      const expected = await expectedIds(name);
      const { sequences } = await model.generate({
        ...inputs,
        maxNewTokens: expected[0]!.length,
      });
      expected.forEach((ids, b) =>
        assert.deepEqual(
          [...sequences[b]!.subarray(-ids.length)],
          ids,
          `sequence ${b}`,
        )
      );
    });
  }

  test(`generate() chooses the same ids whatever the steps on ${device}`, async () => {
    const steps: ModelOptions[] = [{ prefillChunk: 5, fastPrefill: false }, {
      prefillChunk: 7,
    }];
    // As with media, the others take too many steps.
    if (device === "wasm") {
      steps.push({ prefillChunk: 1 }, { fastPrefill: false });
    }
    for (const options of steps) {
      await using model = await loadTiny(device, options);
      for (const name of ["text", "window", "batch"] as const) {
        const expected = await expectedIds(name);
        const { sequences } = await model.generate({
          ...await expectedInputs(name),
          maxNewTokens: expected[0]!.length,
        });
        expected.forEach((ids, b) =>
          assert.deepEqual(
            [...sequences[b]!.subarray(-ids.length)],
            ids,
            `${name} ${b}, ${JSON.stringify(options)}`,
          )
        );
      }
    }
  });

  test(`generate() goes on from a cache on ${device}`, async () => {
    await using model = await loadTiny(device);
    const { inputIds } = await expectedInputs("text");
    const [expected] = await expectedIds("text");
    using cache = model.createCache({ maxLength: 64 });
    await model.forward(
      { inputIds: sliceColumns(inputIds, 0, 9) },
      { pastKeyValues: cache, logitsToKeep: 1 },
    );
    const { sequences } = await model.generate({
      inputIds,
      pastKeyValues: cache,
      maxNewTokens: expected!.length,
    });
    assert.deepEqual([...sequences[0]!.subarray(inputIds.shape[1]!)], expected);
    // The last id was chosen, but not fed.
    assert.equal(cache.length, inputIds.shape[1]! + expected!.length - 1);
  });
}
