/** Elements of a row of logits that a workgroup looks at. */
export const LOGITS_CHUNK = 4096;

/**
 * WGSL of an order of float32 bits as unsigned integers, in which a NaN is
 * above everything; 0 is the key of nothing. Comparing bits keeps a driver from
 * dropping NaN or tiny numbers.
 */
export const logitKeysWgsl = `
const NAN_KEY = 0xffffffffu;
const INFINITE_KEY = 0xff800000u;
const LEAST_KEY = 0x007fffffu; // of -Infinity

fn keyOf(bits: u32) -> u32 {
  if ((bits & 0x7fffffffu) > 0x7f800000u) { return NAN_KEY; }
  if (bits == 0x80000000u) { return bits; } // -0 is as large as 0
  return bits ^ select(0x80000000u, 0xffffffffu, (bits >> 31u) == 1u);
}

fn valueOf(key: u32) -> f32 {
  return bitcast<f32>(key ^ select(0xffffffffu, 0x80000000u, (key >> 31u) == 1u));
}
`;
