// bench/RESULTS.md: sections that several benches write, each its own.

const TITLE = "# Results at real size";
const EXPLANATION =
  "Sections of runtimes are written by `bench/real_size.ts`, those of GPUs by `bench/gpu.ts`, " +
  "each when it was last measured. Weights are synthetic, and engines take turns. " +
  "Of runtimes, figures are medians, and the last column compares the best turns, " +
  "which other work on the machine disturbed least. Prefill ends with the first token chosen. " +
  "Peak is the most resident memory of a process, pages of a mapped file included; anonymous is without them, at the end.";

/**
 * The page with new sections, and with those that `before`, the page as it was,
 * has of others.
 *
 * @param sections Texts by what their headings begin with: `"deno "` for
 * `## deno 2.9.6, e2b`.
 */
export function updatePage(
  before: string,
  sections: ReadonlyMap<string, string>,
): string {
  const starts = [...sections.keys()].map((start) => `## ${start}`);
  const kept = before.split(/^(?=## )/m).slice(1)
    .map((section) => section.trim())
    .filter((section) => !starts.some((start) => section.startsWith(start)));
  const all = [...sections.values(), ...kept].toSorted();
  return [TITLE, EXPLANATION, ...all].join("\n\n") + "\n";
}

/** A table of Markdown. Rows without cells are left out. */
export function table(
  head: readonly string[],
  rows: readonly (readonly string[])[],
): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [
    line(head),
    line(head.map(() => "---")),
    ...rows.filter((cells) => cells.length > 0).map(line),
  ].join("\n");
}
