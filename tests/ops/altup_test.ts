import { test } from "node:test";
import { assertTensorClose, randomTensor, runOps, tensor } from "../testing.ts";
import { parityCase, reference, SIZES, testParity } from "./parity.ts";

/** Sums of up to five terms of magnitude one. */
const TOLERANCE = { rtol: 1e-6, atol: 1e-6 };

test("altupPredict on the reference mixes the streams of each row", async () => {
  const actual = await runOps(reference, {
    record: ({ ops, upload }) =>
      ops.altupPredict(
        upload(tensor([2, 2, 1], [1, 2, 10, 20])),
        upload(tensor([2, 4], [1, 0, 0, 1, 0, 0.5, -1, 0])),
      ),
  });
  // Row 0 keeps its streams twice; row 1 adds halves across, then subtracts.
  const expected = tensor([2, 2, 1], [2, 12, 20, 18]);
  assertTensorClose(actual, expected, { label: "altupPredict" });
});

test("altupCorrect on the reference adds the innovation to each stream", async () => {
  const actual = await runOps(reference, {
    record: ({ ops, upload }) =>
      ops.altupCorrect(
        upload(tensor([2, 2, 1], [1, 2, 10, 20])),
        upload(tensor([2, 1], [12, 17])),
        upload(tensor([2, 2], [0, 1, -1, 0.5])),
        1,
      ),
  });
  // The innovations are 12 - 10 and 17 - 20.
  const expected = tensor([2, 2, 1], [3, 2, 14, 15.5]);
  assertTensorClose(actual, expected, { label: "altupCorrect" });
});

test("addToStreams on the reference leaves the first stream alone", async () => {
  const actual = await runOps(reference, {
    record: ({ ops, upload }) =>
      ops.addToStreams(
        upload(tensor([3, 1, 2], [1, 2, 3, 4, 5, 6])),
        upload(tensor([1, 2], [10, 20])),
      ),
  });
  const expected = tensor([3, 1, 2], [1, 2, 13, 24, 15, 26]);
  assertTensorClose(actual, expected, { label: "addToStreams" });
});

test("meanStreams on the reference averages over the streams", async () => {
  const actual = await runOps(reference, {
    record: ({ ops, upload }) =>
      ops.meanStreams(upload(tensor([2, 1, 2], [1, 2, 4, -6]))),
  });
  const expected = tensor([1, 2], [2.5, -2]);
  assertTensorClose(actual, expected, { label: "meanStreams" });
});

for (const streams of [4, 3]) {
  const inputs = SIZES.map((width) => ({
    x: randomTensor([streams, 3, width], { seed: width }),
    y: randomTensor([3, width], { seed: width + 1 }),
    square: randomTensor([3, streams * streams], { seed: width + 2 }),
    coefs: randomTensor([3, streams], { seed: width + 3 }),
    label: `${streams} streams of width ${width}`,
  }));
  testParity(
    `altupPredict (${streams} streams)`,
    TOLERANCE,
    inputs.map(({ label, x, square }) =>
      parityCase(label, {
        record: ({ ops, upload }) =>
          ops.altupPredict(upload(x), upload(square)),
      })
    ),
  );
  testParity(
    `altupCorrect (${streams} streams)`,
    TOLERANCE,
    inputs.flatMap(({ label, x, y, coefs }) =>
      [0, 1].map((active) =>
        parityCase(`${label}, active ${active}`, {
          record: ({ ops, upload }) =>
            ops.altupCorrect(upload(x), upload(y), upload(coefs), active),
        })
      )
    ),
  );
  testParity(
    `addToStreams, meanStreams (${streams} streams)`,
    TOLERANCE,
    inputs.map(({ label, x, y }) =>
      parityCase(label, {
        record: ({ ops, upload }) => {
          const added = ops.addToStreams(upload(x), upload(y));
          return ops.stack([ops.meanStreams(added), ops.at(added, 0)]);
        },
      })
    ),
  );
}
