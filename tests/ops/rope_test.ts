import { randomTensor } from "../testing.ts";
import { golden, parityCase, testGolden, testParity } from "./parity.ts";

/** Two products and their sum. */
const TOLERANCE = { rtol: 1e-6, atol: 2e-7 };

testGolden("rope", {
  record: ({ ops, upload }) =>
    ops.rope(
      upload(golden("rope", "x")),
      upload(golden("rope", "cos")),
      upload(golden("rope", "sin")),
    ),
});

testParity(
  "rope",
  TOLERANCE,
  [2, 6, 8, 10, 14, 16, 18, 62, 66, 256].flatMap((width) =>
    [1, 3].map((heads) => {
      const x = randomTensor([5, heads, width], { seed: width });
      const angle = randomTensor([5, width / 2], { seed: heads, scale: 9 });
      const cos = { ...angle, data: angle.data.map(Math.cos) };
      const sin = { ...angle, data: angle.data.map(Math.sin) };
      return parityCase(`${heads} heads of ${width}`, {
        record: ({ ops, upload }) =>
          ops.rope(upload(x), upload(cos), upload(sin)),
      });
    })
  ),
);
