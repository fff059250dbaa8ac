// What attention does with the keys of a split: tile after tile, with a running
// largest score and a running sum.
import { type AttendSize, KEYS, LANES, THREADS } from "./attend_size.ts";
import { range } from "./layer_shape.ts";

/** Meets the keys of the split. */
export function tileLoop(size: AttendSize): string {
  const { shared, quads } = size;
  return `  let key = thread / ${LANES}u;
  let lane = thread % ${LANES}u;
  let valueKey = thread / ${quads}u;
  let scoreHead = thread / ${KEYS}u;
  let isScore = thread < ${shared * KEYS}u;
  var now = 0u; // where the largest scores are, of the two places
  for (var tile = begin; tile < end; tile += ${KEYS}u) {
${keyParts(size)}
${loadValues(size)}
    workgroupBarrier();
${weigh(size)}
    workgroupBarrier();
    now = 1u - now;
${addValues(size)}
  }`;
}

/** Four threads a key, each a part of its products with all query heads. */
function keyParts({ shared, quads, kvHeads }: AttendSize): string {
  const loads = range(quads / LANES);
  // Beyond the last key that one is met again, with a score of nothing.
  return `    {
      let row = ${ringRow("min(tile + key, end - 1u)", quads, kvHeads)} + lane;
${
    loads.map((i) => `      let key${i} = kvLoad(keys[row + ${i * LANES}u]);`)
      .join("\n")
  }
${
    range(shared).map((g) =>
      `      parts[${g * THREADS}u + thread] = ${
        loads.map((i) =>
          `dot(query[${g * quads + i * LANES}u + lane], key${i})`
        )
          .join(" + ")
      };`
    ).join("\n")
  }
    }`;
}

/** Under way while scores become weights. */
function loadValues({ quads, kvHeads, together }: AttendSize): string {
  return range(KEYS / together).map((i) =>
    `    let value${i} = values[${
      ringRow(
        `min(tile + ${i * together}u + valueKey, end - 1u)`,
        quads,
        kvHeads,
      )
    } + quad];`
  ).join("\n");
}

function ringRow(position: string, quads: number, kvHeads: number): string {
  return `(((${position}) % params.capacity) * ${kvHeads}u + head) * ${quads}u`;
}

/** Exponentials over the largest score so far, and what earlier sums shrink by. */
function weigh({ shared, subgroupSize }: AttendSize): string {
  const last = shared * KEYS - 1;
  const terms = range(LANES).map((l) => `parts[at + ${l}u]`);
  const partsOfHead = subgroupSize > 0 ? KEYS / subgroupSize : KEYS;
  const tops = range(partsOfHead).map((p) =>
    `tops[min(scoreHead, ${shared - 1}u) * ${partsOfHead}u + ${p}u]`
  );
  const top = subgroupSize > 0
    ? `    let top = subgroupMax(score);
    if (isScore && subgroupLane == 0u) { tops[subgroup] = top; }`
    : "    if (isScore) { tops[thread] = score; }";
  return `    let at = min(thread, ${last}u) * ${LANES}u;
    let isSeen = isScore && tile + thread % ${KEYS}u < end;
    let score = select(LOWEST, ${terms.join(" + ")}, isSeen);
${top}
    workgroupBarrier();
    if (isScore) {
      let before = largest[now * ${shared}u + scoreHead];
      var most = before;
${tops.map((part) => `      most = max(most, ${part});`).join("\n")}
      weights[thread] = exp(score - most);
      if (thread % ${KEYS}u == 0u) {
        shrink[scoreHead] = exp(before - most);
        largest[(1u - now) * ${shared}u + scoreHead] = most;
      }
    }`;
}

/** A thread sums its quad of the values that it meets, for all heads. */
function addValues({ shared, together }: AttendSize): string {
  const heads = range(shared);
  return `${
    heads.map((g) => `    sum${g} *= shrink[${g}]; total${g} *= shrink[${g}];`)
      .join("\n")
  }
${
    range(KEYS / together).map((i) =>
      `    { let value = kvLoad(value${i});
${
        heads.map((g) =>
          `      { let weight = weights[${g * KEYS + i * together}u + valueKey];
        total${g} += weight; sum${g} += weight * value; }`
        ).join("\n")
      } }`
    ).join("\n")
  }`;
}

/** Sums what the threads of each quad found. */
export function leavePartials(
  { shared, quads, together }: AttendSize,
): string {
  const sum = (name: string) =>
    range(together).map((i) => `${name}[thread + ${i * quads}u]`).join(" + ");
  return range(shared).map((g) =>
    `  workgroupBarrier();
  sumQuads[thread] = sum${g};
  sumWeights[thread] = total${g};
  workgroupBarrier();
  if (thread < ${quads}u) {
    let at = (head * ${shared}u + ${g}u) * groups.y + split;
    partials[at * ${quads}u + thread] = ${sum("sumQuads")};
    if (thread == 0u) {
      statistics[at] = vec2f(largest[now * ${shared}u + ${g}u], ${
      sum("sumWeights")
    });
    }
  }`
  ).join("\n");
}
