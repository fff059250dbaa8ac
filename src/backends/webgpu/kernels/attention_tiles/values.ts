import {
  KEYS,
  range,
  resultShape,
  STRIDE,
  THREADS,
  tileAt,
  valueKeys,
} from "./sizes.ts";

/** Some queries and a part of the width a thread; the next values are loaded meanwhile. */
export function valueStage(vectors: number): string {
  const keys = valueKeys(vectors);
  const { rows, ownRows, ownColumns } = resultShape(vectors);
  const loads = range(Math.ceil(keys * vectors / THREADS));
  const isWhole = keys * vectors % THREADS === 0;
  const load = (first: string) =>
    loads.map((i) => {
      const index = `thread + ${i * THREADS}u`;
      const position = `key + ${first} + (${index}) / VECTORS`;
      return `nextValue${i} = loadValue(${position}, end, head, (${index}) % VECTORS);`;
    }).join("\n      ");
  const store = loads.map((i) => {
    const index = `thread + ${i * THREADS}u`;
    const guard = isWhole ? "" : `if (${index} < ${keys * vectors}u) `;
    return `${guard}{ ${tileAt(index)} = nextValue${i}; }`;
  }).join("\n      ");
  return `
    ${loads.map((i) => `var nextValue${i}: vec4f;`).join(" ")}
    ${load("0u")}
    for (var s = 0u; s < ${KEYS}u; s += ${keys}u) {
      if (s > 0u) { workgroupBarrier(); }
      ${store}
      workgroupBarrier();
      if (s == 0u) {
${
    range(ownRows).map((i) =>
      `        let factor${i} = factors[cy + ${rows * i}u]; ` +
      range(ownColumns).map((c) => `out${i}_${c} *= factor${i};`).join(" ")
    ).join("\n")
  }
      }
      ${load(`s + ${keys}u`)}
${range(keys / 4).map((g) => fourKeys(g, vectors)).join("\n")}
    }`;
}

/** Adds the values of keys `s + 4g .. s + 4g + 3`. */
function fourKeys(g: number, vectors: number): string {
  const { columns, rows, ownRows, ownColumns } = resultShape(vectors);
  const at = (k: number, c: number) => {
    const isWhole = columns * (c + 1) <= vectors;
    const column = `cx + ${columns * c}u`;
    const inside = isWhole ? column : `min(${column}, ${vectors - 1}u)`;
    return tileAt(`${(4 * g + k) * vectors}u + ${inside}`);
  };
  return `      {
${
    range(4).flatMap((k) =>
      range(ownColumns).map((c) => `        let v${k}_${c} = ${at(k, c)};`)
    ).join("\n")
  }
${
    range(ownRows).map((i) =>
      `        let w${i} = weights[(cy + ${
        rows * i
      }u) * ${STRIDE}u + s / 4u + ${g}u];\n` +
      range(ownColumns).map((c) =>
        ["x", "y", "z", "w"].map((e, k) =>
          `        out${i}_${c} += w${i}.${e} * v${k}_${c};`
        ).join("\n")
      ).join("\n")
    ).join("\n")
  }
      }`;
}
