// What attention does with the keys of a split: tile after tile, with a running
// largest score and a running sum.
import { type AttendSize, THREADS } from "./attend_size.ts";
import { range } from "./layer_shape.ts";

/** Loads of keys that are under way together. */
const UNROLLED_KEYS = 4;
/** Loads of values, where these are all of a tile; else half as many. */
const UNROLLED_VALUES = 8;

/**
 * Meets the keys of the split. Loops instead of straight lines: a GPU fetches the
 * code of a kernel anew each time it runs.
 */
export function tileLoop(size: AttendSize): string {
  const { keys, lanes, shared, quads } = size;
  return `  let key = thread / ${lanes}u;
  let lane = thread % ${lanes}u;
  let valueKey = thread / ${quads}u;
  let scoreHead = thread / ${keys}u;
  let isScore = thread < ${shared * keys}u;
  var now = 0u; // where the largest scores are, of the two places
  for (var tile = begin; tile < end; tile += ${keys}u) {
    let firstSlot = tile % params.capacity;
    // Beyond the last key it is met again, with a score of nothing.
    let lastKey = end - 1u - tile;
${valueTurns(size).declarations}
${loadValues(size, "0u")}
${keyParts(size)}
    workgroupBarrier();
${weigh(size)}
    workgroupBarrier();
    now = 1u - now;
${addValues(size)}
  }`;
}

/** Turns of a loop over `count`, and what one does. */
function turnsOf(
  count: number,
  most: number,
): { turns: number; each: number[] } {
  const unrolled = Math.min(most, count);
  return { turns: count / unrolled, each: range(unrolled) };
}

/** Row of a ring, of the key `offset` keys after the tile's first. */
function ringRow(offset: string, { quads, kvHeads }: AttendSize): string {
  return `(ringSlot(firstSlot + min(${offset}, lastKey)) * ${kvHeads}u + head) * ${quads}u`;
}

/** A slot of a ring, of which the keys of a tile go around once at most. */
export const RING_SLOT = `fn ringSlot(slot: u32) -> u32 {
  return select(slot, slot - params.capacity, slot >= params.capacity);
}`;

/** The threads of a key have each a part of its products with all query heads. */
function keyParts(size: AttendSize): string {
  const { lanes, shared, quads } = size;
  const heads = range(shared);
  const { turns, each } = turnsOf(quads / lanes, UNROLLED_KEYS);
  const step = each.length * lanes;
  return `    {
      let row = ${ringRow("key", size)};
${heads.map((g) => `      var part${g} = 0.0;`).join("\n")}
      for (var turn = 0u; turn < ${turns}u; turn++) {
        let at = turn * ${step}u + lane;
${
    each.map((i) =>
      `        let key${i} = kvLoad(ring[row + at + ${i * lanes}u]);`
    ).join("\n")
  }
${
    heads.map((g) =>
      `        part${g} += ${
        each.map((i) => `dot(query[at + ${g * quads + i * lanes}u], key${i})`)
          .join(" + ")
      };`
    ).join("\n")
  }
      }
${
    heads.map((g) => `      parts[${g * THREADS}u + thread] = part${g};`).join(
      "\n",
    )
  }
    }`;
}

/** The loop over the values that a thread meets. */
function valueTurns({ keys, together }: AttendSize) {
  const count = keys / together;
  const isOne = count <= UNROLLED_VALUES;
  const most = isOne ? UNROLLED_VALUES : UNROLLED_VALUES / 2;
  const { turns, each } = turnsOf(count, most);
  return {
    turns,
    each,
    step: each.length * together,
    declarations: each.map((i) => `    var value${i} = KvVector();`).join("\n"),
  };
}

/** Loads the values of a turn: the first ones while scores become weights. */
function loadValues(size: AttendSize, turn: string): string {
  const { together } = size;
  const { each, step } = valueTurns(size);
  return each.map((i) =>
    `    value${i} = ring[params.values + ${
      ringRow(`(${turn}) * ${step}u + ${i * together}u + valueKey`, size)
    } + quad];`
  ).join("\n");
}

/** Exponentials over the largest score so far, and what earlier sums shrink by. */
function weigh({ keys, lanes, shared, subgroupSize }: AttendSize): string {
  const last = shared * keys - 1;
  const terms = range(lanes).map((l) => `parts[at + ${l}u]`);
  const partsOfHead = subgroupSize > 0 ? keys / subgroupSize : keys;
  const tops = range(partsOfHead).map((p) =>
    `tops[min(scoreHead, ${shared - 1}u) * ${partsOfHead}u + ${p}u]`
  );
  const top = subgroupSize > 0
    ? `    let top = subgroupMax(score);
    if (isScore && subgroupLane == 0u) { tops[subgroup] = top; }`
    : "    if (isScore) { tops[thread] = score; }";
  return `    let at = min(thread, ${last}u) * ${lanes}u;
    let isSeen = isScore && tile + thread % ${keys}u < end;
    let score = select(LOWEST, ${terms.join(" + ")}, isSeen);
${top}
    workgroupBarrier();
    if (isScore) {
      let before = largest[now * ${shared}u + scoreHead];
      var most = before;
${tops.map((part) => `      most = max(most, ${part});`).join("\n")}
      weights[thread] = exp(score - most);
      if (thread % ${keys}u == 0u) {
        shrink[scoreHead] = exp(before - most);
        largest[(1u - now) * ${shared}u + scoreHead] = most;
      }
    }`;
}

/** A thread sums its quad of the values that it meets, for all heads. */
function addValues(size: AttendSize): string {
  const { keys, shared, together } = size;
  const heads = range(shared);
  const { turns, each, step } = valueTurns(size);
  return `${
    heads.map((g) => `    sum${g} *= shrink[${g}]; total${g} *= shrink[${g}];`)
      .join("\n")
  }
    for (var turn = 0u; turn < ${turns}u; turn++) {
      let at = turn * ${step}u + valueKey;
${
    each.map((i) =>
      `      { let value = kvLoad(value${i});
${
        heads.map((g) =>
          `        { let weight = weights[at + ${g * keys + i * together}u];
          total${g} += weight; sum${g} += weight * value; }`
        ).join("\n")
      } }`
    ).join("\n")
  }
      if (turn + 1u < ${turns}u) {
${loadValues(size, "turn + 1u")}
      }
    }`;
}

/** Heads whose sums are in memory at a time: without subgroups, sums of norms take room, too. */
export function headsTogether({ shared, subgroupSize }: AttendSize): number {
  return subgroupSize > 0 ? shared : Math.ceil(shared / 2);
}

/** Sums what the threads of each quad found: a thread has a quad of a head then. */
export function leavePartials(size: AttendSize): string {
  const { shared, quads, together } = size;
  const heads = headsTogether(size);
  const sum = (term: (i: number) => string) =>
    range(together).map(term).join(" + ");
  const rounds = range(Math.ceil(shared / heads)).map((round) => {
    const first = round * heads;
    const count = Math.min(heads, shared - first);
    const found = range(count).map((i) =>
      `  sumQuads[${i * THREADS}u + thread] = sum${first + i};
  if (quad == 0u) { sumWeights[${i * together}u + valueKey] = total${
        first + i
      }; }`
    );
    return `${found.join("\n")}
  workgroupBarrier();
  if (thread < ${count * quads}u) {
    let at = (head * ${shared}u + ${first}u + g) * groups.y + split;
    partials[statistics + at * ${quads}u + quad] = ${
      sum((i) => `sumQuads[g * ${THREADS}u + ${i * quads}u + quad]`)
    };
    if (quad == 0u) {
      partials[at] = vec4f(largest[now * ${shared}u + ${first}u + g], ${
      sum((i) => `sumWeights[g * ${together}u + ${i}u]`)
    }, 0.0, 0.0);
    }
  }`;
  });
  return `  let statistics = ${size.kvHeads * shared}u * groups.y;
${rounds.join("\n  workgroupBarrier();\n")}`;
}
