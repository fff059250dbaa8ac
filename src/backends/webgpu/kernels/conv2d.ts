/** Places of a tile of `conv2d`. */
export const CONV2D_PLACES = 128;
/** Outputs of a tile of `conv2d`. */
export const CONV2D_OUTPUTS = 64;

/** Threads along the outputs of a tile, and along its places. */
const SIDE = 16;
const ROWS_PER_THREAD = CONV2D_PLACES / SIDE;
const COLUMNS_PER_THREAD = CONV2D_OUTPUTS / SIDE;
/** Vectors of four k in a step. */
const DEPTH = 4;
const ELEMENTS = ["x", "y", "z", "w"] as const;

/**
 * WGSL of `conv2d` as a matrix product: places `[Y' * X', K]` times outputs
 * `[O, K]`, where k counts the places of the filter and, inside, the channels.
 * The left side is never stored: a tile of it is gathered as it is needed.
 *
 * `x` `[Y, X, C]`, `w` `[KY * KX, O, C]`, `y` `[Y', X', O]`, all f32. `lanes`
 * is 4 where it divides C, so that four k are one load, else 1.
 *
 * A thread has 8 places of 4 outputs, in registers; 32 consecutive threads cover
 * 4 places and 8 outputs. In workgroup memory a tile is `[k / 4, row]` with a
 * gap of two after each k, so that neither stores nor loads of neighbouring
 * threads meet in a bank. The loads of a step are under way while the one before
 * is multiplied.
 *
 * Dispatch: `grid()` of ceil(Y' * X' / 128) x ceil(O / 64) workgroups, those of
 * the same places after another.
 */
export function conv2dWgsl(lanes: 1 | 4): string {
  const rows = range(ROWS_PER_THREAD);
  const columns = range(COLUMNS_PER_THREAD);
  const lines = <T>(items: readonly T[], line: (item: T) => string) =>
    items.map(line).join("\n");
  const placeLoads = range(ROWS_PER_THREAD * DEPTH / SIDE);
  const outputLoads = range(COLUMNS_PER_THREAD * DEPTH / SIDE);
  const perPass = SIDE * SIDE / DEPTH;
  return `
alias Elem = ${lanes === 4 ? "vec4f" : "f32"};

@group(0) @binding(0) var<storage, read> x: array<Elem>;
@group(0) @binding(1) var<storage, read> w: array<Elem>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

struct Params {
  rows: u32,       // Y
  columns: u32,    // X
  outColumns: u32, // X'
  places: u32,     // Y' * X'
  top: u32,
  left: u32,
}
@group(0) @binding(3) var<uniform> params: Params;

override CHANNELS: u32; // C / lanes
override OUTPUTS: u32;  // O
override KERNEL_COLUMNS: u32;
override K: u32;        // KY * KX * C / lanes
override STRIDE_Y: u32;
override STRIDE_X: u32;

const DEPTH = ${DEPTH}u;
const PLACE_STRIDE = ${CONV2D_PLACES + 2}u;
const OUTPUT_STRIDE = ${CONV2D_OUTPUTS + 2}u;
var<workgroup> patches: array<vec4f, ${DEPTH * (CONV2D_PLACES + 2)}>;
var<workgroup> filters: array<vec4f, ${DEPTH * (CONV2D_OUTPUTS + 2)}>;

// Element k of the window whose first place is at this row and column.
fn placeElement(row: u32, column: u32, k: u32) -> Elem {
  let tap = k / CHANNELS;
  // Places of the padding wrap around to numbers beyond the picture.
  let r = row + tap / KERNEL_COLUMNS;
  let c = column + tap % KERNEL_COLUMNS;
  if (k >= K || r >= params.rows || c >= params.columns) { return Elem(); }
  return x[(r * params.columns + c) * CHANNELS + k % CHANNELS];
}

fn weightElement(output: u32, k: u32) -> Elem {
  if (k >= K || output >= OUTPUTS) { return Elem(); }
  return w[(k / CHANNELS * OUTPUTS + output) * CHANNELS + k % CHANNELS];
}

// Four elements from 4 * k4 on.
fn place4(row: u32, column: u32, k4: u32) -> vec4f {
  ${four((k) => `placeElement(row, column, ${k})`)}
}

fn weight4(output: u32, k4: u32) -> vec4f {
  ${four((k) => `weightElement(output, ${k})`)}
}

@compute @workgroup_size(${SIDE * SIDE})
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let tile = group.y * groups.x + group.x;
  let tilesOfOutputs = (OUTPUTS + ${CONV2D_OUTPUTS - 1}u) / ${CONV2D_OUTPUTS}u;
  let firstPlace = tile / tilesOfOutputs * ${CONV2D_PLACES}u;
  let firstOutput = tile % tilesOfOutputs * ${CONV2D_OUTPUTS}u;
  let steps = (K * ${lanes}u + 4u * DEPTH - 1u) / (4u * DEPTH);

  // What this thread loads of each step.
  let depth = thread % DEPTH;
  let loaded = thread / DEPTH;
${
    lines(placeLoads, (i) =>
      `  let place${i} = firstPlace + loaded + ${i * perPass}u;
  // Windows beyond the last place are outside the picture.
  let row${i} = select(0x40000000u, place${i} / params.outColumns * STRIDE_Y - params.top, place${i} < params.places);
  let column${i} = place${i} % params.outColumns * STRIDE_X - params.left;
  var nextPatch${i} = place4(row${i}, column${i}, depth);`)
  }
${
    lines(outputLoads, (i) =>
      `  let output${i} = firstOutput + loaded + ${i * perPass}u;
  var nextFilter${i} = weight4(output${i}, depth);`)
  }

  let tx = thread % 8u + thread / 32u % 2u * 8u;
  let ty = thread / 8u % 4u + thread / 64u * 4u;
${lines(rows, (i) => `  var sum${i} = vec4f();`)}
  for (var step = 0u; step < steps; step++) {
    workgroupBarrier();
${
    lines(placeLoads, (i) =>
      `    patches[depth * PLACE_STRIDE + loaded + ${
        i * perPass
      }u] = nextPatch${i};`)
  }
${
    lines(outputLoads, (i) =>
      `    filters[depth * OUTPUT_STRIDE + loaded + ${
        i * perPass
      }u] = nextFilter${i};`)
  }
    workgroupBarrier();
    let next = (step + 1u) * DEPTH + depth;
${
    lines(placeLoads, (i) =>
      `    nextPatch${i} = place4(row${i}, column${i}, next);`)
  }
${lines(outputLoads, (i) => `    nextFilter${i} = weight4(output${i}, next);`)}
${
    lines(range(DEPTH), (k) =>
      `    {
${
        lines(columns, (j) =>
          `      let f${j} = filters[${k}u * OUTPUT_STRIDE + tx + ${
            j * SIDE
          }u];`)
      }
${
        lines(ELEMENTS, (e) =>
          `      let ${e} = vec4f(${
            columns.map((j) =>
              `f${j}.${e}`
            ).join(", ")
          });`)
      }
${
        lines(rows, (i) =>
          `      let p${i} = patches[${k}u * PLACE_STRIDE + ty + ${i * SIDE}u];
      ${
            ELEMENTS.map((e) =>
              `sum${i} += p${i}.${e} * ${e};`
            ).join(" ")
          }`)
      }
    }`)
  }
  }

${
    lines(rows, (i) =>
      `  {
    let place = firstPlace + ty + ${i * SIDE}u;
    if (place < params.places) {
${
        lines(columns, (j) =>
          `      if (firstOutput + tx + ${
            j * SIDE
          }u < OUTPUTS) { y[place * OUTPUTS + firstOutput + tx + ${
            j * SIDE
          }u] = sum${i}[${j}]; }`)
      }
    }
  }`)
  }
}
`;

  function four(element: (k: string) => string): string {
    if (lanes === 4) return `return ${element("k4")};`;
    return `var value = vec4f();
  for (var i = 0u; i < 4u; i++) { value[i] = ${element("4u * k4 + i")}; }
  return value;`;
  }
}

function range(length: number): number[] {
  return Array.from({ length }, (_, i) => i);
}
