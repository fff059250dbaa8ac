import type { AttentionKernel } from "../attention.ts";
import { kvWidth } from "../kv_store.ts";
import { range, resultShape, STRIDE } from "./sizes.ts";

/** Writes the result, or leaves it unscaled for attention_merge.ts. */
export function finish({ width, shared, split }: AttentionKernel): string {
  const { columns, rows, ownRows, ownColumns } = resultShape(
    kvWidth(width) / 4,
  );
  const base = split
    ? `((query / ${shared}u * KV_HEADS + head) * ${shared}u + query % ${shared}u) * groups.z + group.z`
    : "queryBase(query, head)";
  const statistics = split
    ? `      if (cx == 0u) { statistics[to] = vec2f(parts.x, sum); }\n`
    : "";
  const write = (i: number, c: number) => {
    const value = split ? `out${i}_${c}` : `out${i}_${c} / sum`;
    const v = `cx + ${columns * c}u`;
    const store = width % 4 === 0
      ? `y[to * VECTORS + ${v}] = ${value};`
      : `put(to * WIDTH, ${v}, ${value});`;
    return `      if (${v} < VECTORS) { ${store} }`;
  };
  return `  workgroupBarrier();
  weights[row * ${STRIDE}u + quarter] = vec4f(largest, total, 0.0, 0.0);
  workgroupBarrier();
${
    range(ownRows).map((i) =>
      `  {
    let query = firstQuery + cy + ${rows * i}u;
    if (query < count) {
      let to = ${base};
      let parts = weights[(cy + ${rows * i}u) * ${STRIDE}u];
      let sum = ${
        range(4).map((k) =>
          `weights[(cy + ${rows * i}u) * ${STRIDE}u + ${k}u].y`
        )
          .join(" + ")
      };
${statistics}${range(ownColumns).map((c) => write(i, c)).join("\n")}
    }
  }`
    ).join("\n")
  }`;
}
