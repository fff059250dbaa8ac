// The standard normal distribution: its distribution function and quantiles.

/**
 * Quantile of the standard normal distribution for 0 < p < 1, to about 1e-12.
 *
 * Newton's method from 0: the distribution function is concave above 0, so
 * every step stays below the root and nearer to it.
 */
export function normalQuantile(p: number): number {
  if (p < 0.5) return -normalQuantile(1 - p);
  let x = 0;
  for (let i = 0; i < 100; i++) {
    const density = Math.exp(-x * x / 2) / Math.sqrt(2 * Math.PI);
    const step = (p - normalCdf(x)) / density;
    x += step;
    if (Math.abs(step) < 1e-13) break;
  }
  return x;
}

/** Distribution function of the standard normal, for -8 < x < 8; beyond, 0 or 1. */
export function normalCdf(x: number): number {
  if (x < 0) return 1 - normalCdf(-x);
  return x >= 8 ? 1 : upperHalf(x);
}

// Series of positive terms: 1/2 + density * (x + x^3/3 + x^5/15 + ...).
function upperHalf(x: number): number {
  let term = x;
  let sum = x;
  for (let n = 3; term > sum * 1e-17; n += 2) {
    term *= x * x / n;
    sum += term;
  }
  return 0.5 + sum * Math.exp(-x * x / 2) / Math.sqrt(2 * Math.PI);
}
