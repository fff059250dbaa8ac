// Damaged copies of files, the same for the same seed.

/** Numbers in 0..1, the same on every run. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    // splitmix32: a counter through an integer hash.
    state = (state + 0x9e3779b9) | 0;
    let x = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
    x = Math.imul(x ^ (x >>> 15), 0x735a2d97);
    return ((x ^ (x >>> 15)) >>> 0) / 2 ** 32;
  };
}

type Damage = (
  bytes: Uint8Array<ArrayBuffer>,
  next: () => number,
) => Uint8Array<ArrayBuffer>;

// Most formats keep what matters at the start.
const HEAD_BYTES = 700;

/** Values that readers of lengths and sizes trip over. */
const EXTREMES = [0, 1, 0x7f, 0x80, 0xff];

const DAMAGES: readonly Damage[] = [
  flipBits,
  flipBits,
  overwrite,
  cut,
  removeRange,
  repeatRange,
];

/** A damaged copy of a file. */
export function mutate(
  bytes: Uint8Array,
  next: () => number,
): Uint8Array<ArrayBuffer> {
  const damage = DAMAGES[below(DAMAGES.length, next)]!;
  return damage(bytes.slice(), next);
}

function below(limit: number, next: () => number): number {
  return Math.floor(next() * limit);
}

/** An offset, every other time near the start. */
function place(bytes: Uint8Array, next: () => number): number {
  const head = Math.min(HEAD_BYTES, bytes.length);
  return below(next() < 0.5 ? head : bytes.length, next);
}

function flipBits(
  bytes: Uint8Array<ArrayBuffer>,
  next: () => number,
): Uint8Array<ArrayBuffer> {
  const count = 1 + below(8, next);
  for (let i = 0; i < count && bytes.length > 0; i++) {
    const at = place(bytes, next);
    bytes[at] = bytes[at]! ^ (1 << below(8, next));
  }
  return bytes;
}

function overwrite(
  bytes: Uint8Array<ArrayBuffer>,
  next: () => number,
): Uint8Array<ArrayBuffer> {
  const at = place(bytes, next);
  const value = EXTREMES[below(EXTREMES.length, next)]!;
  return bytes.fill(value, at, at + 1 + below(8, next));
}

function cut(
  bytes: Uint8Array<ArrayBuffer>,
  next: () => number,
): Uint8Array<ArrayBuffer> {
  return bytes.slice(0, place(bytes, next));
}

function removeRange(
  bytes: Uint8Array<ArrayBuffer>,
  next: () => number,
): Uint8Array<ArrayBuffer> {
  const at = place(bytes, next);
  return concat(
    bytes.subarray(0, at),
    bytes.subarray(at + 1 + below(64, next)),
  );
}

function repeatRange(
  bytes: Uint8Array<ArrayBuffer>,
  next: () => number,
): Uint8Array<ArrayBuffer> {
  const at = place(bytes, next);
  return concat(bytes.subarray(0, at + below(64, next)), bytes.subarray(at));
}

function concat(a: Uint8Array, b: Uint8Array): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(a.length + b.length);
  out.set(a);
  out.set(b, a.length);
  return out;
}
