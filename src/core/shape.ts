// Shapes are readonly arrays, outermost dimension first, row-major.

/** Dimensions of a tensor, outermost first. */
export type Shape = readonly number[];

/** Number of elements of a shape; 1 for a scalar's `[]`. */
export function numel(shape: Shape): number {
  return shape.reduce((product, dim) => product * dim, 1);
}

/** Whether two shapes have the same dimensions. */
export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((dim, i) => dim === b[i]);
}

/** Spells a shape for messages: `[2,3]`. */
export function formatShape(shape: Shape): string {
  return `[${shape.join(",")}]`;
}
