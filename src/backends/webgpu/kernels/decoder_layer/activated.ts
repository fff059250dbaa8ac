// How what gate_up.ts activates lies for down.ts: quad j of all groups of 32 side
// by side, so that lanes with a group each read neighbours.
import { BLOCK_SIZES } from "../../../../core/dtype.ts";

const GROUP = BLOCK_SIZES.q8_0.values;

/** Where quad `q` of `intermediate` elements lies, as WGSL. */
export function activatedQuad(intermediate: number, q: string): string {
  if (intermediate % GROUP !== 0) return q;
  return `((${q}) & 7u) * ${intermediate / GROUP}u + ((${q}) >> 3u)`;
}

/** Where quad `j` of group `group` lies, as WGSL. */
export function activatedGroupQuad(
  intermediate: number,
  group: string,
  j: number,
): string {
  return `${j * (intermediate / GROUP)}u + ${group}`;
}

/** Where element `e` lies, as WGSL. */
export function activatedElement(intermediate: number, e: string): string {
  const quad = activatedQuad(intermediate, `(${e}) >> 2u`);
  return `4u * (${quad}) + ((${e}) & 3u)`;
}
