// What attention begins with: queries, and the new key and value, normed and
// rotated. A thread has one quad of the queries at most, since there are no more
// quads than threads.
import type { AttendSize } from "./attend_size.ts";
import type { WorkgroupSums } from "./kernel.ts";
import { float, type LayerShape, range } from "./layer_shape.ts";
import { preparedPlaces } from "./left_places.ts";

/** Two halves of a head turn together: quad q with the one half a head away. */
export function rotateFunction({ quads }: AttendSize): string {
  return `fn rotated(q: u32, x: vec4f, partner: vec4f) -> vec4f {
  let at = q % ${quads / 2}u;
  let plus = table[at + ${quads / 2}u];
  let sine = select(plus, -plus, q < ${quads / 2}u);
  return x * table[at] + partner * sine;
}`;
}

/**
 * Queries in workgroup memory; `newKey` and `newValue` where the layer has its own.
 * What is loaded turns before the sums of the norms are known, so that no load
 * waits for them.
 */
export function rotate(
  shape: LayerShape,
  size: AttendSize,
  sums: WorkgroupSums,
): string {
  const { headDim, eps, keyValue } = shape;
  const factor = (squares: string) =>
    `inverseSqrt(${squares} / ${float(headDim)} + ${float(eps)})`;
  const heads = range(size.shared);
  const squares = heads.map((g) =>
    [`squares${g}`, `select(0.0, square, g == ${g}u)`] as const
  );
  return `${loadQuads(shape, size)}
${sums.lines([...squares, ...(keyValue ? NEW_SQUARES : [])])}
  if (isQuery) {
    var squares = 0.0;
${
    heads.map((g) => `    squares = select(squares, squares${g}, g == ${g}u);`)
      .join("\n")
  }
    query[thread] = turned * ${factor("squares")};
  }
${
    keyValue
      ? `  newKey *= ${factor("keySquares")};
  newValue *= ${factor("valueSquares")};
  // As later steps will read them.
  let storedKey = kvPack(newKey);
  let storedValue = kvPack(newValue);
  newKey = kvLoad(storedKey);
  newValue = kvLoad(storedValue);`
      : ""
  }
  workgroupBarrier();`;
}

const NEW_SQUARES = [
  ["keySquares", "keySquare"],
  ["valueSquares", "dot(newValue, newValue)"],
] as const;

/** A thread's quads, turned with the one half a head away, and their squares. */
function loadQuads(
  shape: LayerShape,
  { shared, quads, owning }: AttendSize,
): string {
  const half = quads / 2;
  const at = preparedPlaces(shape);
  const projected = (place: number, quad: string) =>
    `projected[${place / 4}u + row + ${quad}]`;
  const turn = (place: number) =>
    `rotated(quad, ${projected(place, "quad")}, ${projected(place, "other")})`;
  const own = owning
    ? `  var newKey = vec4f(); var newValue = vec4f(); var keySquare = 0.0;
  if (thread < ${quads}u) {
    let row = head * ${quads}u;
    let mine = ${projected(at.key, "quad")};
    keySquare = dot(mine, mine);
    newKey = ${turn(at.weightedKey)};
    newValue = ${projected(at.value, "quad")};
  }`
    : "";
  return `  let g = thread / ${quads}u;
  let quad = thread % ${quads}u;
  let other = select(quad - ${half}u, quad + ${half}u, quad < ${half}u);
  let isQuery = thread < ${shared * quads}u;
  var turned = vec4f(); var square = 0.0;
  if (isQuery) {
    let row = (head * ${shared}u + g) * ${quads}u;
    let mine = ${projected(at.query, "quad")};
    square = dot(mine, mine);
    turned = ${turn(at.weightedQuery)};
  }
${own}`;
}

/** What the sums begin with: nothing, or in the last split the new key and value. */
export function begin(
  { shared, quads, owning }: AttendSize,
  sums: WorkgroupSums,
): string {
  const heads = range(shared);
  const zeros = heads.map((g) =>
    `  var sum${g} = vec4f(); var total${g} = 0.0;`
  );
  if (!owning) {
    return `${zeros.join("\n")}
  if (thread < ${shared}u) { largest[thread] = LOWEST; }`;
  }
  // Threads beyond the key have zeros of it.
  const scores = heads.map((g) =>
    [`newScore${g}`, `dot(query[${g * quads}u + quad], newKey)`] as const
  );
  return `${zeros.join("\n")}
${sums.lines(scores)}
  if (thread == 0u) {
${
    heads.map((g) =>
      `    largest[${g}] = select(LOWEST, newScore${g}, isLast);`
    ).join("\n")
  }
  }
  if (isLast && thread < ${quads}u) {
${heads.map((g) => `    sum${g} = newValue; total${g} = 1.0;`).join("\n")}
    let slot = ((params.position % params.capacity) * groups.x + head) * ${quads}u + thread;
    ring[slot] = storedKey;
    ring[params.values + slot] = storedValue;
  }`;
}
