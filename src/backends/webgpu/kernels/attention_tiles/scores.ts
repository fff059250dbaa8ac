import { DEPTH, KEYS, PART, range, ROWS, STRIDE, tileAt } from "./sizes.ts";

/** Two queries and four keys a thread; the next step is loaded meanwhile. */
export function scoreStage(vectors: number): string {
  const steps = Math.ceil(vectors / DEPTH);
  const load = (step: string) =>
    range(2).map((i) =>
      `      nextQuery${i} = loadQuery(query${i}, ${step} + column);
      nextKey${i} = kvLoad(keys[key${i} + min(${step} + column, VECTORS - 1u)]);`
    ).join("\n");
  return `
    var scores0 = vec4f();
    var scores1 = vec4f();
${
    range(2).map((i) =>
      `    let key${i} = at(key + loaded + ${16 * i}u, head);
    var nextQuery${i}: vec4f;
    var nextKey${i}: vec4f;`
    ).join("\n")
  }
    {
${load("0u")}
    }
    for (var v = 0u; v < ${steps * DEPTH}u; v += ${DEPTH}u) {
      workgroupBarrier();
${
    range(2).map((i) =>
      `      ${
        tileAt(`column * ${ROWS}u + ((loaded + ${16 * i}u) ^ column)`)
      } = nextQuery${i};
      ${
        tileAt(
          `${DEPTH * ROWS}u + column * ${KEYS}u + ` +
            `((loaded % 4u * 8u + loaded / 4u + ${4 * i}u) ^ column)`,
        )
      } = nextKey${i};`
    ).join("\n")
  }
      workgroupBarrier();
${load(`v + ${DEPTH}u`)}
      var part0 = vec4f();
      var part1 = vec4f();
${range(DEPTH).map(step).join("\n")}
      scores0 += part0;
      scores1 += part1;
    }
    weights[ty * ${STRIDE}u + tx] = seen(SCALE * scores0, firstQuery + ty, key + 4u * tx, end);
    weights[(ty + 16u) * ${STRIDE}u + tx] =
      seen(SCALE * scores1, firstQuery + ty + 16u, key + 4u * tx, end);
    workgroupBarrier();`;
}

/** Multiplies vector `d` of two queries and four keys. */
function step(d: number): string {
  const at = (first: number, thread: string) =>
    `tile[${Math.floor(first / PART)}][${first % PART}u + (${thread} ^ ${d}u)]`;
  const key = (j: number) => at(DEPTH * ROWS + d * KEYS + 8 * j, "tx");
  return `      {
        let a = ${at(d * ROWS, "ty")};
        let b = ${at(d * ROWS + 16, "ty")};
${range(4).map((j) => `        let k${j} = ${key(j)};`).join("\n")}
${
    ["x", "y", "z", "w"].map((e) =>
      `        let ${e} = vec4f(k0.${e}, k1.${e}, k2.${e}, k3.${e});
        part0 += a.${e} * ${e}; part1 += b.${e} * ${e};`
    ).join("\n")
  }
      }`;
}

/** Exponentials over the largest score so far, and what earlier sums shrink by. */
export function weightStage(): string {
  const scores = (i: string) => `weights[row * ${STRIDE}u + ${i}]`;
  const own = [0, 1].map((i) => scores(`2u * quarter + ${i}u`));
  return `
    var most = vec4f(largest);
${
    range(KEYS / 4).map((i) => `    most = max(most, ${scores(`${i}u`)});`)
      .join("\n")
  }
    let newLargest = max(max(most.x, most.y), max(most.z, most.w));
    let factor = exp(largest - newLargest);
    largest = newLargest;
    let weight0 = weightsOf(${own[0]}, largest);
    let weight1 = weightsOf(${own[1]}, largest);
    total = total * factor + dot(weight0 + weight1, vec4f(1.0));
    workgroupBarrier();
    ${own[0]} = weight0;
    ${own[1]} = weight1;
    if (quarter == 0u) { factors[row] = factor; }`;
}
