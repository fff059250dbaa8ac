// What the benches of a GPU print, read again: lines of a name, of what was
// timed, and of figures.

/** What was printed for one thing that was timed. */
export interface GpuFigure {
  /** A size of the model, or a tower. */
  readonly name: string;
  /** Such as `decode at 128`; of a tower the number format. */
  readonly what: string;
  /** Higher is better for tokens a second, lower for milliseconds. */
  readonly value: number;
  readonly unit: "tok/s" | "ms";
  /** Milliseconds of the host for the commands of a token, where they were told. */
  readonly encodingMs?: number;
}

/** Reads a line; `undefined` when it holds no figure of these. */
export function parseGpuLine(line: string): GpuFigure | undefined {
  const tower = /^((?:image|audio) .*?) (\w+): ([\d.]+) ms\b/.exec(line);
  if (tower) {
    const [, name, what, value] = tower;
    return { name: name!, what: what!, value: Number(value), unit: "ms" };
  }
  const decoder = /^(\w+) +((?:decode|prefill|at) .*?) +([\d.]+) tok\/s\b/.exec(
    line,
  );
  if (!decoder) return undefined;
  const [, name, what, value] = decoder;
  const encoding = /\bencoding ([\d.]+) ms\b/.exec(line)?.[1];
  const isToken = !what!.startsWith("prefill");
  return {
    name: name!,
    what: what!,
    value: Number(value),
    unit: "tok/s",
    ...(isToken && encoding ? { encodingMs: Number(encoding) } : {}),
  };
}

/** Figures of several rounds. */
export class GpuFigures {
  readonly #values = new Map<string, number[]>();
  readonly #encoding = new Map<string, number[]>();

  /** Adds those of one round. */
  add(lines: readonly string[]): void {
    for (const line of lines) {
      const figure = parseGpuLine(line);
      if (figure === undefined) continue;
      const key = `${figure.name} ${figure.what}`;
      append(this.#values, key, figure.value);
      const { encodingMs } = figure;
      if (encodingMs !== undefined) append(this.#encoding, key, encodingMs);
    }
  }

  /** Names of what was timed: `E2B prefill 2048`. */
  keys(): string[] {
    return [...this.#values.keys()];
  }

  /** The median; `undefined` where nothing was measured. */
  median(key: string): number | undefined {
    return medianOf(this.#values.get(key));
  }

  /** The median of the milliseconds of encoding, likewise. */
  encodingMs(key: string): number | undefined {
    return medianOf(this.#encoding.get(key));
  }
}

function append(
  to: Map<string, number[]>,
  key: string,
  value: number,
): void {
  to.set(key, [...to.get(key) ?? [], value]);
}

function medianOf(values: readonly number[] | undefined): number | undefined {
  const sorted = values?.toSorted((a, b) => a - b);
  if (sorted === undefined) return undefined;
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1
    ? sorted[middle]
    : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
