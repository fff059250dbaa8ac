// Cuts the new tokens of several sequences into steps of at most `chunk` rows.
import type { Segment } from "../../ops/ops.ts";

/** New tokens of one sequence. */
export interface ScheduledInput {
  /** Tokens the sequence holds already. */
  readonly pastLength: number;
  readonly newTokens: number;
  /** How many of the last new tokens' outputs are wanted. */
  readonly keep: number;
}

/** Part of a sequence's new tokens, in one step. */
export interface ScheduledPart {
  /** Index of the sequence. */
  readonly input: number;
  /** First of the new tokens. */
  readonly first: number;
  readonly segment: Segment;
}

/** One step. */
export interface ScheduledStep {
  readonly rows: number;
  readonly parts: readonly ScheduledPart[];
  /** Rows of the step whose outputs are wanted, ascending. */
  readonly keep: Int32Array;
  /** The sequence of each kept row. */
  readonly keepInput: Int32Array;
}

/**
 * Plans the steps: sequences one after another, each cut where a step is
 * full. One sequence has at most one part in a step.
 */
export function scheduleSteps(
  inputs: readonly ScheduledInput[],
  chunk: number,
): ScheduledStep[] {
  const steps: ScheduledStep[] = [];
  let parts: ScheduledPart[] = [];
  let rows = 0;
  const flush = () => {
    if (rows > 0) steps.push(finishStep(inputs, parts, rows));
    parts = [];
    rows = 0;
  };
  inputs.forEach(({ pastLength, newTokens }, input) => {
    for (let first = 0; first < newTokens;) {
      const count = Math.min(newTokens - first, chunk - rows);
      const firstPosition = pastLength + first;
      parts.push({
        input,
        first,
        segment: { firstRow: rows, rows: count, firstPosition },
      });
      rows += count;
      first += count;
      if (rows === chunk) flush();
    }
  });
  flush();
  return steps;
}

function finishStep(
  inputs: readonly ScheduledInput[],
  parts: readonly ScheduledPart[],
  rows: number,
): ScheduledStep {
  const keep: number[] = [];
  const keepInput: number[] = [];
  for (const { input, first, segment } of parts) {
    const { newTokens, keep: wanted } = inputs[input]!;
    const firstKept = Math.max(0, newTokens - wanted - first);
    for (let i = firstKept; i < segment.rows; i++) {
      keep.push(segment.firstRow + i);
      keepInput.push(input);
    }
  }
  return {
    rows,
    parts,
    keep: Int32Array.from(keep),
    keepInput: Int32Array.from(keepInput),
  };
}
