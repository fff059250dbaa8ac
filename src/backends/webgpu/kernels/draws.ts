import { gumbelNoiseWgsl } from "./gumbel_noise.ts";
import { logitKeysWgsl } from "./logit_keys.ts";

/** Words of a draw. */
export const DRAW_WORDS = 4;

/**
 * WGSL of samples by Gumbel-max: a draw is the best of some ids by logit over
 * temperature plus noise, with the score of the second best.
 *
 * Scores are float32, those of the host float64. Where the two best are closer
 * than both errors together the host must choose: the outcome is -2. It is -1
 * where there is a NaN or nothing above -Infinity.
 */
export const drawsWgsl = `${logitKeysWgsl}${gumbelNoiseWgsl}
const THREADS = 256u;
const LOWEST = -3.4e38;
// The most that noise can be, MAX_GUMBEL of core/random.ts.
const MOST_NOISE = 22.88;

struct Draw {
  score: f32,
  second: f32,
  id: u32,
  top: u32, // largest key
}

const NOTHING = Draw(LOWEST, LOWEST, 0u, 0u);

fn merged(a: Draw, b: Draw) -> Draw {
  let second = max(min(a.score, b.score), max(a.second, b.second));
  let top = max(a.top, b.top);
  if (b.score > a.score) { return Draw(b.score, second, b.id, top); }
  return Draw(a.score, second, a.id, top);
}

var<workgroup> draws: array<Draw, THREADS>;

// What all draws of a workgroup come to, for all of its threads.
fn mergedOfGroup(thread: u32, own: Draw) -> Draw {
  draws[thread] = own;
  for (var half = THREADS / 2u; half > 0u; half >>= 1u) {
    workgroupBarrier();
    if (thread < half) {
      draws[thread] = merged(draws[thread], draws[thread + half]);
    }
  }
  workgroupBarrier();
  return draws[0];
}

fn outcome(draw: Draw) -> f32 {
  if (draw.top == NAN_KEY || draw.top <= LEAST_KEY) { return -1.0; }
  // A few units in the last place of each logit, and the noise's own error.
  let error = 2e-5 + 4e-6 * (abs(draw.score) + MOST_NOISE);
  let isSure = draw.top < INFINITE_KEY && draw.score - draw.second > error;
  return select(-2.0, f32(draw.id), isSure);
}

// Which noise a row has.
struct NoiseKey { seed: vec2u, step: u32, stream: u32 }

fn noiseWords(key: NoiseKey, id: u32) -> vec4u {
  return philox(vec4u(id / 4u, key.step, key.stream, 0u), key.seed);
}
`;
