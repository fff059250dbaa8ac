/**
 * WGSL of the noise that samples are drawn with, as core/random.ts defines it:
 * Philox-4x32-10 words, and a word as a Gumbel number in float32.
 *
 * `gumbelOf()` is off by less than 4e-6. `log()` itself may be off by far more
 * near 1, where the largest numbers come from.
 */
export const gumbelNoiseWgsl = `
fn multiplyHigh(a: u32, b: u32) -> u32 {
  let aLow = a & 0xffffu;
  let aHigh = a >> 16u;
  let bLow = b & 0xffffu;
  let bHigh = b >> 16u;
  let middle = aHigh * bLow + ((aLow * bLow) >> 16u);
  let carry = aLow * bHigh + (middle & 0xffffu);
  return aHigh * bHigh + (middle >> 16u) + (carry >> 16u);
}

fn philox(counter: vec4u, seed: vec2u) -> vec4u {
  var c = counter;
  var k = seed;
  for (var round = 0u; round < 10u; round++) {
    let high0 = multiplyHigh(c.x, 0xd2511f53u);
    let high1 = multiplyHigh(c.z, 0xcd9e8d57u);
    c = vec4u(
      high1 ^ c.y ^ k.x,
      c.z * 0xcd9e8d57u,
      high0 ^ c.w ^ k.y,
      c.x * 0xd2511f53u,
    );
    k += vec2u(0x9e3779b9u, 0xbb67ae85u);
  }
  return c;
}

const LN_2 = 0.69314718;

// 2 atanh(z) for |z| up to 1/3, to a relative 1e-7.
fn doubleAtanh(z: f32) -> f32 {
  let s = z * z;
  return 2.0 * z * (1.0 + s * (0.33333333 + s * (0.2 + s * (0.14285714 + s *
    (0.11111111 + s * (0.09090909 + s * (0.07692308 + s * 0.06666667)))))));
}

// The logarithm of a positive number that is not subnormal.
fn logOf(x: f32) -> f32 {
  let bits = bitcast<u32>(x);
  let power = f32(i32(bits >> 23u) - 127);
  let m = bitcast<f32>((bits & 0x007fffffu) | 0x3f800000u); // 1 .. 2
  return power * LN_2 + doubleAtanh((m - 1.0) / (m + 1.0));
}

// -log(-log(u)), u = (word + 0.5) / 2^32.
fn gumbelOf(word: u32) -> f32 {
  if (word >= 0x80000000u) {
    // Close to 1 the distance from it is what counts: -log(1 - v).
    let v = (f32(~word) + 0.5) * 2.3283064e-10;
    return -logOf(doubleAtanh(v / (2.0 - v)));
  }
  return -logOf(32.0 * LN_2 - logOf(f32(word) + 0.5));
}
`;
