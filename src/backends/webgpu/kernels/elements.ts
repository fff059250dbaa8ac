/** Threads of a workgroup of a kernel with a thread for each element. */
export const ELEMENT_THREADS = 64;

/**
 * WGSL of kernels with a thread for each element, in a grid of any width:
 * `element(id, groups)` is the thread's own.
 */
export const elementsWgsl = `
const THREADS = ${ELEMENT_THREADS}u;

fn element(id: vec3u, groups: vec3u) -> u32 {
  return id.y * groups.x * THREADS + id.x;
}
`;

/** Elements that a thread loads and stores at a time. */
export type Lanes = 1 | 4;

/** A kernel in its forms for single elements and for vectors of four, `Elem`. */
export type Forms = Readonly<Record<Lanes, string>>;

/** Both forms of a kernel. */
export function forms(code: (lanes: Lanes) => string): Forms {
  return { 1: code(1), 4: code(4) };
}

/** Lanes of rows of so many elements. */
export function lanesOf(elements: number): Lanes {
  return elements > 0 && elements % 4 === 0 ? 4 : 1;
}

/** WGSL of the type of a load. */
export function elemWgsl(lanes: Lanes): string {
  return `alias Elem = ${lanes === 4 ? "vec4f" : "f32"};\n`;
}

/**
 * WGSL of a function `each` of `Elem` that applies `result`, an expression of
 * the f32 `names`, to each element.
 */
export function eachWgsl(
  lanes: Lanes,
  names: readonly string[],
  result: string,
): string {
  const list = (type: string) => names.map((n) => `${n}: ${type}`).join(", ");
  const one = (lane: string) => `one(${names.map((n) => n + lane).join(", ")})`;
  const all = lanes === 1
    ? one("")
    : `vec4f(${[".x", ".y", ".z", ".w"].map(one).join(", ")})`;
  return `
fn one(${list("f32")}) -> f32 { return ${result}; }
fn each(${list("Elem")}) -> Elem { return ${all}; }
`;
}
