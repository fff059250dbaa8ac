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
