// Tokens are sampled where that is faster.
import assert from "node:assert/strict";
import { test } from "node:test";
import { generate } from "../../src/generation/generate.ts";
import { SamplingPlace } from "../../src/generation/sampling_place.ts";
import { logisticRow } from "./rows.ts";
import { prompt, TableLm } from "./table_lm.ts";

const V = 40;
const table = Array.from({ length: V }, (_, id) => logisticRow(V, id, 1));

/** How often the model and the host sampled, in that order of 100 turns. */
function turns(run: () => { given: number; ms: number }, host: number) {
  const place = new SamplingPlace();
  const places: string[] = [];
  while (places.length < 100) {
    let given = 0;
    if (!place.isHost) {
      const took = run();
      place.modelTook(8, given = took.given, took.ms);
      places.push("model");
    }
    if (given > 0) continue;
    place.hostTook(host);
    places.push("host");
  }
  return places;
}

test("SamplingPlace stays with the model that is faster, after one token of the host's", () => {
  const places = turns(() => ({ given: 8, ms: 32 }), 6);
  assert.deepEqual(places.slice(0, 4), ["model", "model", "host", "model"]);
  assert.equal(places.filter((place) => place === "host").length, 1);
});

test("SamplingPlace goes to the host that is faster, for good", () => {
  const places = turns(() => ({ given: 8, ms: 80 }), 6);
  assert.ok(places.indexOf("host") < 4);
  assert.deepEqual(new Set(places.slice(10)), new Set(["host"]));
});

test("SamplingPlace goes to the host where the model often decides nothing", () => {
  for (
    const [every, expected] of [[1, true], [2, true], [50, false]] as const
  ) {
    let runs = 0;
    const places = turns(
      () => ({ given: ++runs % every === 0 ? 0 : 8, ms: 32 }),
      6,
    );
    const last = places.at(-1) === "host" && places.at(-2) === "host";
    assert.equal(last, expected, `none of every ${every}`);
  }
});

test("SamplingPlace takes no pause for a slow model", () => {
  let runs = 0;
  const places = turns(
    () => ({ given: 8, ms: ++runs % 20 === 10 ? 5000 : 24 }),
    6,
  );
  assert.equal(places.filter((place) => place === "host").length, 1);
});

test("SamplingPlace compares anew when sequences have ended", () => {
  const place = new SamplingPlace();
  place.modelTook(8, 8, 32);
  place.modelTook(8, 8, 32);
  assert.ok(place.isHost);
  place.hostTook(6);
  assert.ok(!place.isHost);
  place.forget();
  place.modelTook(8, 8, 32);
  assert.ok(!place.isHost);
  place.modelTook(8, 8, 32);
  assert.ok(place.isHost);
});

test("generate() samples on the host once the model is slower, and the same", async () => {
  const { now } = performance;
  const options = { maxNewTokens: 60, doSample: true, seed: 5, topK: 5 };
  try {
    let ms = 0;
    performance.now = () => ms;
    const results = [];
    for (const [model, isFaster] of [[1, true], [20, false]] as const) {
      const lm = new TableLm(table, { chooses: 8 });
      const { chooser } = lm;
      const { choose } = chooser!;
      chooser!.choose = (inputs, count, options) => {
        ms += model * count;
        return choose(inputs, count, options);
      };
      const { step } = lm;
      let steps = 0;
      lm.step = (inputs, options) => {
        ms += 5;
        steps++;
        return step.call(lm, inputs, options);
      };
      results.push(await generate(lm, [prompt(6)], options));
      assert.ok(isFaster ? steps === 1 : steps > 30, `${steps} steps`);
    }
    assert.deepEqual(results[1], results[0]);
  } finally {
    performance.now = now;
  }
});
