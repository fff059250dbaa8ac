// The figures of a GPU as a section of bench/RESULTS.md.
import { table } from "../results_page.ts";
import type { GpuFigures } from "./figures.ts";

/** What is told. */
export interface GpuResults {
  /** What each side says about the GPU and itself, in its first line. */
  readonly ours: GpuFigures;
  readonly peer: GpuFigures;
  readonly adapter: string;
  /** `undefined` where the peer was not measured. */
  readonly peerVersion: string | undefined;
  readonly date: string;
  readonly rounds: number;
}

/** What the heading begins with; one section for each GPU. */
export function gpuSectionStart(adapter: string): string {
  return `WebGPU, ${adapter}`;
}

/** The section: a table of each decoder, and one of the towers. */
export function renderGpuSection(results: GpuResults): string {
  const { ours, adapter, peerVersion, date, rounds } = results;
  const decoders = new Set(
    ours.keys().filter((key) => !isTower(key)).map((key) => key.split(" ")[0]!),
  );
  const turns = rounds === 1 ? "one turn" : `medians of ${rounds} turns`;
  return [
    `## ${gpuSectionStart(adapter)}`,
    peerVersion === undefined
      ? `${date}: this library on Deno, ${turns}.`
      : `${date}: this library on Deno beside ${peerVersion}, ${turns} each on the ` +
        "same card. Decoding on both sides ends with the logits of a token, or with " +
        "its id; ratios above 1 are in favour of this library.",
    ...[...decoders].map((name) => decoderTable(results, name)),
    towersTable(results),
  ].filter((part) => part !== "").join("\n\n");
}

function isTower(key: string): boolean {
  return /^(image|audio) /.test(key);
}

function decoderTable(
  { ours, peer, peerVersion }: GpuResults,
  name: string,
): string {
  const withPeer = <T>(cells: readonly T[]) =>
    peerVersion === undefined ? [] : cells;
  const prefix = `${name} `;
  const rows = ours.keys().filter((key) => key.startsWith(prefix)).map(
    (key) => {
      const own = ours.median(key)!;
      const what = key.slice(prefix.length);
      const peerKey = prefix + comparable(what);
      const eager = peer.median(`${peerKey}, eager`) ?? peer.median(peerKey);
      const compiled = peer.median(`${peerKey}, compiled`);
      const cells = (value: number | undefined) =>
        value === undefined
          ? ["", ""]
          : [value.toFixed(1), (own / value).toFixed(2)];
      return [
        what.replace(/^at /, "generation at "),
        own.toFixed(1),
        ...withPeer([...cells(eager), ...cells(compiled)]),
      ];
    },
  );
  return table([
    `${name}, tokens/s`,
    "this library, q4",
    ...withPeer([
      "Transformers",
      "ratio",
      "Transformers, compiled",
      "ratio",
    ]),
  ], rows);
}

/** What of the peer's a figure is compared with: generation is decoding, too. */
function comparable(what: string): string {
  return what.replace(/^at (\d+), .*/, "decode at $1");
}

function towersTable({ ours, peer, peerVersion }: GpuResults): string {
  const withPeer = (cells: readonly string[]) =>
    peerVersion === undefined ? [] : cells;
  const rows = ours.keys().filter(isTower).map((key) => {
    const [, name, dtype] = /^(.*) (\w+)$/.exec(key)!;
    const own = ours.median(key)!;
    const others = peer.keys().filter((other) => other.startsWith(`${name} `));
    const other = others.length > 0 ? peer.median(others[0]!) : undefined;
    return [
      `${name}, ${dtype}`,
      own.toFixed(1),
      ...withPeer([
        other === undefined ? "" : other.toFixed(1),
        other === undefined ? "" : (other / own).toFixed(2),
      ]),
    ];
  });
  return rows.length === 0 ? "" : table([
    "towers, ms",
    "this library",
    ...withPeer(["Transformers", "ratio"]),
  ], rows);
}
