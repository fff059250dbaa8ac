// WebGPU's bit flags by their standard values: where a caller brings the GPU
// along, the runtime has no `GPUBufferUsage` of its own.

/** How a buffer is used. */
export const BUFFER_USAGE = {
  mapRead: 0x1,
  copySource: 0x4,
  copyTarget: 0x8,
  uniform: 0x40,
  storage: 0x80,
} as const;

/** Mapping a buffer to read it. */
export const MAP_READ = 0x1;

/** The compute stage of a shader. */
export const COMPUTE_STAGE = 0x4;

/** Offsets at which every GPU can bind a buffer. */
export const BINDING_ALIGNMENT = 256;

/** Rounds bytes up to a multiple of {@link BINDING_ALIGNMENT}. */
export function align(bytes: number): number {
  return Math.ceil(bytes / BINDING_ALIGNMENT) * BINDING_ALIGNMENT;
}
