// Order statistics of a row of logits without sorting it: float32 keys are
// counted by their upper 16 bits, then the one bin that matters by its lower.
// Two passes over V and two over 65536 bins, whatever the values are.

const BINS = 1 << 16;

// Scratch shared by all calls: nothing here awaits between fill and use.
const counts = new Uint32Array(BINS);
const masses = new Float64Array(BINS);
const one = new Uint32Array(1);

/** The bits of float32 values; the array shares their memory. */
export function bitsOf(values: Float32Array): Uint32Array {
  return new Uint32Array(values.buffer, values.byteOffset, values.length);
}

/** Maps float32 bits to unsigned integers of the same order; both zeros to the same. */
export function orderedKey(bits: number): number {
  if (bits === 0x80000000) return bits; // -0: the key of +0
  return (bits ^ ((bits >> 31) | 0x80000000)) >>> 0;
}

/** The value whose {@link orderedKey} is `key`. */
function keyToValue(key: number): number {
  one[0] = key & 0x80000000 ? key ^ 0x80000000 : ~key;
  return new Float32Array(one.buffer)[0]!;
}

/** Largest value; `NaN` when there is one, `-Infinity` when there is none. */
export function maximum(values: Float32Array): number {
  let best = -Infinity;
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    if (value > best) best = value;
    else if (value !== value) return NaN;
  }
  return best;
}

/** The `k`-th largest value, counting repeats; 1 <= k <= values.length, no NaN. */
export function kthLargest(values: Float32Array, k: number): number {
  const bits = bitsOf(values);
  counts.fill(0);
  for (let i = 0; i < bits.length; i++) counts[orderedKey(bits[i]!) >>> 16]!++;
  let remaining = k;
  let upper = BINS - 1;
  while (counts[upper]! < remaining) remaining -= counts[upper--]!;

  counts.fill(0);
  for (let i = 0; i < bits.length; i++) {
    const key = orderedKey(bits[i]!);
    if (key >>> 16 === upper) counts[key & 0xffff]!++;
  }
  let lower = BINS - 1;
  while (counts[lower]! < remaining) remaining -= counts[lower--]!;
  return keyToValue(upper * BINS + lower);
}

/** Where the nucleus of a distribution ends. */
export interface NucleusBorder {
  /** {@link orderedKey} of the smallest value in the nucleus. */
  readonly key: number;
  /** How many of the entries with that very value do not belong to it. */
  readonly excluded: number;
}

/**
 * Border of the nucleus: entries, largest first, until those not yet taken hold
 * no more than a share `1 - p` of the softmax; the first is always in it.
 *
 * @param max The largest value; finite.
 */
export function nucleusBorder(
  values: Float32Array,
  p: number,
  max: number,
): NucleusBorder {
  const bits = bitsOf(values);
  masses.fill(0);
  let total = 0;
  for (let i = 0; i < bits.length; i++) {
    if (values[i] === -Infinity) continue;
    const mass = Math.exp(values[i]! - max);
    masses[orderedKey(bits[i]!) >>> 16]! += mass;
    total += mass;
  }
  const enough = total - (1 - p) * total;
  const first = descend(0, enough);

  counts.fill(0);
  masses.fill(0);
  for (let i = 0; i < bits.length; i++) {
    const key = orderedKey(bits[i]!);
    if (key >>> 16 !== first.bin) continue;
    counts[key & 0xffff]!++;
    masses[key & 0xffff]! += Math.exp(values[i]! - max);
  }
  const { bin, before } = descend(first.before, enough);
  const equals = counts[bin]!;
  const mass = masses[bin]! / equals; // entries of this bin are all equal
  let taken = 1;
  while (taken < equals && before + taken * mass < enough) taken++;
  return { key: first.bin * BINS + bin, excluded: equals - taken };
}

/** From the top, the first bin with which the mass is enough; the lowest with any, where rounding leaves none. */
function descend(
  taken: number,
  enough: number,
): { bin: number; before: number } {
  let lowest = { bin: BINS - 1, before: taken };
  let before = taken;
  for (let bin = BINS - 1; bin >= 0; bin--) {
    if (masses[bin] === 0) continue;
    lowest = { bin, before };
    if (before + masses[bin]! >= enough) break;
    before += masses[bin]!;
  }
  return lowest;
}
