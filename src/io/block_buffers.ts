// Memory that blocks of a checkpoint are read into.

/**
 * Two buffers by turns: what was read into one is good while the next block is
 * read. One for all tensors of a load: runtimes free large arrays late, and a
 * new pair for each tensor would be a heap of a hundred megabytes.
 */
export class BlockBuffers {
  readonly #buffers: Uint8Array[] = [];

  /** The buffer whose turn it is, `bytes` long. */
  take(bytes: number): Uint8Array {
    const oldest = this.#buffers.length < 2 ? undefined : this.#buffers.shift();
    const fits = oldest !== undefined && oldest.length >= bytes;
    const buffer = fits ? oldest : new Uint8Array(bytes);
    this.#buffers.push(buffer);
    return buffer.subarray(0, bytes);
  }
}
