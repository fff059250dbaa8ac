// WGSL of elementwise operations one after another: what one kernel does to each
// element between the load of one tensor and the store of the result.
import { elementsWgsl, elemWgsl, type Lanes } from "./elements.ts";
import { mathWgsl } from "./math.ts";

/** A step of a chain, as an expression of `value`, and of `other` and `BY` where it has them. */
const STEPS = {
  scale: "value * BY",
  gelu: "geluOf(value)",
  relu: "select(value, 0.0, value < 0.0)",
  silu: "value * sigmoid(value)",
  tanh: "safeTanh(value)",
  softcap: "BY * safeTanh(value / BY)",
  clamp: "within(value, BY)",
  add: "value + other",
  mul: "value * other",
  addScaled: "(value + other) * BY",
  geluMul: "geluOf(value) * other",
  mulGelu: "value * geluOf(other)",
  mulVector: "value * other",
  addVector: "value + other",
} as const;

/** The operation of a step; `mulGelu` is `geluMul` of the other tensor. */
export type StepName = keyof typeof STEPS;

/** Whether the other operand is a vector. */
export function takesVector(name: StepName): boolean {
  return name === "mulVector" || name === "addVector";
}

/** WGSL of the steps of a chain. */
export interface ChainWgsl {
  /** Of the other operands, in order. */
  readonly bindings: string;
  readonly bindingCount: number;
  /** `override`s and `fn <name>(value: Elem, i: u32, d: u32) -> Elem`, of load i, which is load d of its row. */
  readonly functions: string;
}

/**
 * The steps as a function `name` of `Elem`; its numbers are `override`s, see
 * {@link stepConstant}. Needs `mathWgsl`.
 *
 * @param binding Index of the first free binding.
 */
export function chainWgsl(
  name: string,
  steps: readonly StepName[],
  { lanes, binding }: { readonly lanes: Lanes; readonly binding: number },
): ChainWgsl {
  const bindings: string[] = [];
  const functions: string[] = [];
  const calls = steps.map((step, k) => {
    const text: string = STEPS[step];
    const by = stepConstant(name, k);
    const hasOther = text.includes("other");
    if (text.includes("BY")) functions.push(`override ${by}: f32;`);
    functions.push(
      `fn ${name}${k}(value: f32${hasOther ? ", other: f32" : ""}) -> f32 { ` +
        `return ${text.replaceAll("BY", by)}; }`,
    );
    const other = `${name}Other${k}`;
    if (hasOther) {
      bindings.push(
        `@group(0) @binding(${
          binding + bindings.length
        }) var<storage, read> ${other}: array<Elem>;`,
      );
    }
    const apply = (lane: string) =>
      `${name}${k}(v${k}${lane}${hasOther ? `, o${k}${lane}` : ""})`;
    const all = lanes === 1
      ? apply("")
      : `vec4f(${[".x", ".y", ".z", ".w"].map(apply).join(", ")})`;
    return `${
      hasOther
        ? `  let o${k} = ${other}[${takesVector(step) ? "d" : "i"}];\n`
        : ""
    }  let v${k + 1} = ${all};`;
  });
  functions.push(`fn ${name}(value: Elem, i: u32, d: u32) -> Elem {
  let v0 = value;
${calls.join("\n")}
  return v${steps.length};
}`);
  return {
    bindings: bindings.join("\n"),
    bindingCount: bindings.length,
    functions: functions.join("\n"),
  };
}

/** The `override` of step `k` of a chain `name`. */
export function stepConstant(name: string, k: number): string {
  return `${name.toUpperCase()}_BY${k}`;
}

/** Whether a step has a number. */
export function takesNumber(name: StepName): boolean {
  return STEPS[name].includes("BY");
}

/**
 * WGSL of a chain on one tensor, `after`: all f32, a thread for each load. With a
 * vector there is an `override` WIDTH, the loads of a row.
 *
 * @param isSplit Whether the tensor is the sum of `splits` ones that lie one behind
 * another, which are added in this order: what matmul_tiles.ts makes of parts of K.
 */
export function chainElementsWgsl(
  steps: readonly StepName[],
  { lanes, isSplit }: { readonly lanes: Lanes; readonly isSplit: boolean },
): string {
  const chain = chainWgsl("after", steps, { lanes, binding: 1 });
  const y = 1 + chain.bindingCount;
  const hasVector = steps.some(takesVector);
  return `${elemWgsl(lanes)}${elementsWgsl}${mathWgsl}
struct Params { count: u32${isSplit ? ", splits: u32" : ""} }

@group(0) @binding(0) var<storage, read> x: array<Elem>;
${chain.bindings}
@group(0) @binding(${y}) var<storage, read_write> y: array<Elem>;
@group(0) @binding(${y + 1}) var<uniform> params: Params;
${hasVector ? "override WIDTH: u32;" : ""}
${chain.functions}

@compute @workgroup_size(THREADS)
fn main(
  @builtin(global_invocation_id) id: vec3u,
  @builtin(num_workgroups) groups: vec3u,
) {
  let i = element(id, groups);
  if (i >= params.count) { return; }
  var value = x[i];
${
    isSplit
      ? "  for (var s = 1u; s < params.splits; s++) { value += x[s * params.count + i]; }"
      : ""
  }
  y[i] = after(value, i, ${hasVector ? "i % WIDTH" : "0u"});
}
`;
}
