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
 * 4 places and 8 outputs. Workgroup memory is that of matmul_tiles.ts. The loads
 * of a step are under way while the one before is multiplied.
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
  channels: u32, // C / lanes
  outputs: u32,  // O
  kernelColumns: u32,
  taps: u32,     // KY * KX
  strideY: u32,
  strideX: u32,
}
@group(0) @binding(3) var<uniform> params: Params;

const DEPTH = ${DEPTH}u;
// [k / 4, place or output of a thread, thread]
var<workgroup> patches: array<array<array<vec4f, ${SIDE}>, ${ROWS_PER_THREAD}>, ${DEPTH}>;
var<workgroup> filters: array<array<array<vec4f, ${SIDE}>, ${COLUMNS_PER_THREAD}>, ${DEPTH}>;

// An element of a window: its channel and its place in the filter.
struct Element { channel: u32, tap: u32, row: u32, column: u32 }

fn elementOf(k: u32) -> Element {
  let tap = k / params.channels;
  return Element(k % params.channels, tap, tap / params.kernelColumns, tap % params.kernelColumns);
}

// The element of the window whose first place is at this row and column.
fn placeElement(row: u32, column: u32, e: Element) -> Elem {
  // Places of the padding wrap around to numbers beyond the picture.
  let r = row + e.row;
  let c = column + e.column;
  if (e.tap >= params.taps || r >= params.rows || c >= params.columns) { return Elem(); }
  return x[(r * params.columns + c) * params.channels + e.channel];
}

fn weightElement(output: u32, e: Element) -> Elem {
  if (e.tap >= params.taps || output >= params.outputs) { return Elem(); }
  return w[(e.tap * params.outputs + output) * params.channels + e.channel];
}
${lanes === 4 ? VECTORS : SINGLES}
@compute @workgroup_size(${SIDE * SIDE})
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let tile = group.y * groups.x + group.x;
  let tilesOfOutputs = (params.outputs + ${
    CONV2D_OUTPUTS - 1
  }u) / ${CONV2D_OUTPUTS}u;
  let firstPlace = tile / tilesOfOutputs * ${CONV2D_PLACES}u;
  let firstOutput = tile % tilesOfOutputs * ${CONV2D_OUTPUTS}u;
  let steps = (params.taps * params.channels * ${lanes}u + 4u * DEPTH - 1u) / (4u * DEPTH);

  // What this thread loads of each step.
  let depth = thread % DEPTH;
  let loaded = thread / DEPTH;
  let own = loaded / ${SIDE}u;
  let slot = (loaded % ${SIDE}u) ^ (2u * depth);
  var next = fourFrom(depth);
${
    lines(placeLoads, (i) =>
      `  let place${i} = firstPlace + loaded + ${i * perPass}u;
  // Windows beyond the last place are outside the picture.
  let row${i} = select(0x40000000u, place${i} / params.outColumns * params.strideY - params.top, place${i} < params.places);
  let column${i} = place${i} % params.outColumns * params.strideX - params.left;
  var nextPatch${i} = place4(row${i}, column${i}, next);`)
  }
${
    lines(outputLoads, (i) =>
      `  let output${i} = firstOutput + loaded + ${i * perPass}u;
  var nextFilter${i} = weight4(output${i}, next);`)
  }

  let tx = thread % 8u + thread / 32u % 2u * 8u;
  let ty = thread / 8u % 4u + thread / 64u * 4u;
${lines(rows, (i) => `  var sum${i} = vec4f();`)}
  for (var step = 0u; step < steps; step++) {
    workgroupBarrier();
${
    lines(placeLoads, (i) =>
      `    patches[depth][own + ${i * perPass / SIDE}u][slot] = nextPatch${i};`)
  }
${
    lines(outputLoads, (i) =>
      `    filters[depth][own + ${
        i * perPass / SIDE
      }u][slot] = nextFilter${i};`)
  }
    workgroupBarrier();
    next = fourAfter(next);
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
          `      let f${j} = filters[${k}][${j}][tx ^ ${2 * k}u];`)
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
          `      let p${i} = patches[${k}][${i}][ty ^ ${2 * k}u];
      ${
            ELEMENTS.map((e) => `sum${i} += p${i}.${e} * ${e};`).join(" ")
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
          }u < params.outputs) { y[place * params.outputs + firstOutput + tx + ${
            j * SIDE
          }u] = sum${i}[${j}]; }`)
      }
    }
  }`)
  }
}
`;
}

/** Four k are a vector of channels, which is followed without dividing. */
const VECTORS = `
alias Four = Element;

fn fourFrom(k4: u32) -> Four { return elementOf(k4); }

fn fourAfter(four: Four) -> Four {
  var next = four;
  next.channel += DEPTH;
  while (next.channel >= params.channels) {
    next.channel -= params.channels;
    next.tap++;
    next.column++;
    if (next.column == params.kernelColumns) { next.column = 0u; next.row++; }
  }
  return next;
}

fn place4(row: u32, column: u32, four: Four) -> vec4f { return placeElement(row, column, four); }

fn weight4(output: u32, four: Four) -> vec4f { return weightElement(output, four); }
`;

/** Four k are that many elements, which may lie in several places. */
const SINGLES = `
alias Four = u32; // k / 4

fn fourFrom(k4: u32) -> Four { return k4; }

fn fourAfter(four: Four) -> Four { return four + DEPTH; }

fn place4(row: u32, column: u32, four: Four) -> vec4f {
  var value = vec4f();
  for (var i = 0u; i < 4u; i++) { value[i] = placeElement(row, column, elementOf(4u * four + i)); }
  return value;
}

fn weight4(output: u32, four: Four) -> vec4f {
  var value = vec4f();
  for (var i = 0u; i < 4u; i++) { value[i] = weightElement(output, elementOf(4u * four + i)); }
  return value;
}
`;

function range(length: number): number[] {
  return Array.from({ length }, (_, i) => i);
}
