/**
 * WGSL of functions that the tanh form of GELU and others need.
 *
 * `tanh()` itself may overflow far from zero, and is off by up to 1e-5 near it.
 */
export const mathWgsl = `
// clamp(), min() and max() may give a number for what is none.
fn within(x: f32, limit: f32) -> f32 {
  return select(select(x, limit, x > limit), -limit, x < -limit);
}

fn safeTanh(x: f32) -> f32 {
  // Beyond 9 it is 1 in f32.
  let bounded = within(x, 9.0);
  let square = bounded * bounded;
  // Below 0.3 the quotient would cancel: the series, to its x^9.
  let series = bounded * (1.0 + square * (-0.33333333 + square *
    (0.13333333 + square * (-0.05396825 + square * 0.02186949))));
  let power = exp(2.0 * bounded);
  return select((power - 1.0) / (power + 1.0), series, abs(bounded) < 0.3);
}

// By its bits: exp() and comparisons may take it for a number.
fn isNan(x: f32) -> bool {
  return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u;
}

fn sigmoid(x: f32) -> f32 {
  return 1.0 / (1.0 + exp(-within(x, 87.0)));
}

// 0.5 (1 + tanh(y)) is the sigmoid of 2 y.
fn geluOf(x: f32) -> f32 {
  return x * sigmoid(1.5957691216 * (x + 0.044715 * x * x * x));
}
`;
