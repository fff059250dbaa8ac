import {
  COLUMNS,
  KEYS,
  OWN_ROWS,
  ownColumns,
  range,
  STRIDE,
  THREADS,
  valueKeys,
} from "./sizes.ts";

/** Eight queries and a part of the width a thread; the next values are loaded meanwhile. */
export function valueStage(vectors: number): string {
  const keys = valueKeys(vectors);
  const columns = ownColumns(vectors);
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
    return `${guard}{ tile[${index}] = nextValue${i}; }`;
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
    range(OWN_ROWS).map((i) =>
      `        let factor${i} = factors[cy + ${4 * i}u]; ` +
      range(columns).map((c) => `out${i}_${c} *= factor${i};`).join(" ")
    ).join("\n")
  }
      }
      ${load(`s + ${keys}u`)}
${range(keys / 4).map((g) => fourKeys(g, vectors, columns)).join("\n")}
    }`;
}

/** Adds the values of keys `s + 4g .. s + 4g + 3`. */
function fourKeys(g: number, vectors: number, columns: number): string {
  const at = (k: number, c: number) => {
    const isWhole = COLUMNS * (c + 1) <= vectors;
    const column = `cx + ${COLUMNS * c}u`;
    const inside = isWhole ? column : `min(${column}, ${vectors - 1}u)`;
    return `tile[${(4 * g + k) * vectors}u + ${inside}]`;
  };
  return `      {
${
    range(4).flatMap((k) =>
      range(columns).map((c) => `        let v${k}_${c} = ${at(k, c)};`)
    ).join("\n")
  }
${
    range(OWN_ROWS).map((i) =>
      `        let w${i} = weights[(cy + ${
        4 * i
      }u) * ${STRIDE}u + s / 4u + ${g}u];\n` +
      range(columns).map((c) =>
        ["x", "y", "z", "w"].map((e, k) =>
          `        out${i}_${c} += w${i}.${e} * v${k}_${c};`
        ).join("\n")
      ).join("\n")
    ).join("\n")
  }
      }`;
}
