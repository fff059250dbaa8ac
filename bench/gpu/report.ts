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
  /** llama.cpp through Vulkan; `undefined` where it was not measured. */
  readonly llama: GpuFigures;
  readonly llamaVersion: string | undefined;
  readonly date: string;
  readonly rounds: number;
}

const ENCODING = "Encoding is the host's time for the commands of a token.";

/** What the heading begins with; one section for each GPU. */
export function gpuSectionStart(adapter: string): string {
  return `WebGPU, ${adapter}`;
}

/** The section: a table of each decoder, and one of the towers. */
export function renderGpuSection(results: GpuResults): string {
  const { ours, adapter } = results;
  const decoders = new Set(
    ours.keys().filter((key) => !isTower(key)).map((key) => key.split(" ")[0]!),
  );
  return [
    `## ${gpuSectionStart(adapter)}`,
    introduction(results),
    ...[...decoders].map((name) => decoderTable(results, name)),
    towersTable(results),
  ].filter((part) => part !== "").join("\n\n");
}

function introduction(
  { peerVersion, llamaVersion, date, rounds }: GpuResults,
): string {
  const turns = rounds === 1 ? "one turn" : `medians of ${rounds} turns`;
  const others = [peerVersion, llamaVersion].filter((it) => it !== undefined);
  if (others.length === 0) {
    return `${date}: this library on Deno, ${turns}. ${ENCODING}`;
  }
  const sentences = [
    `${date}: this library on Deno beside ${others.join("; and ")}, ${turns} ` +
    "each on the same card. Decoding on all sides ends with the logits of a " +
    "token, or with its id; ratios above 1 are in favour of this library.",
  ];
  if (llamaVersion !== undefined) {
    sentences.push(
      "Decoding and prefill of llama.cpp are by its own clock, generation by " +
        "that of the caller, with the token chosen by node-llama-cpp.",
    );
  }
  return [...sentences, ENCODING].join(" ");
}

function isTower(key: string): boolean {
  return /^(image|audio) /.test(key);
}

/** Figures of another program, in rows of this library's. */
interface Peer {
  readonly title: string;
  rate(what: string): number | undefined;
}

function decoderTable(results: GpuResults, name: string): string {
  const { ours } = results;
  const peers = decoderPeers(results, name);
  const prefix = `${name} `;
  const rows = ours.keys().filter((key) => key.startsWith(prefix)).map(
    (key) => {
      const own = ours.median(key)!;
      const what = key.slice(prefix.length);
      return [
        what.replace(/^at /, "generation at "),
        own.toFixed(1),
        ours.encodingMs(key)?.toFixed(2) ?? "",
        ...peers.flatMap(({ rate }) => {
          const other = rate(what);
          return other === undefined
            ? ["", ""]
            : [other.toFixed(1), (own / other).toFixed(2)];
        }),
      ];
    },
  );
  return table([
    `${name}, tokens/s`,
    "this library, q4",
    "encoding, ms",
    ...peers.flatMap(({ title }) => [title, "ratio"]),
  ], rows);
}

function decoderPeers(
  { peer, peerVersion, llama, llamaVersion }: GpuResults,
  name: string,
): Peer[] {
  const peers: Peer[] = [];
  if (peerVersion !== undefined) {
    // It has no figure of generation, but decoding is most of it.
    const key = (what: string) =>
      `${name} ${what.replace(/^at (\d+), .*/, "decode at $1")}`;
    peers.push({
      title: "Transformers",
      rate: (what) =>
        peer.median(`${key(what)}, eager`) ?? peer.median(key(what)),
    }, {
      title: "Transformers, compiled",
      rate: (what) => peer.median(`${key(what)}, compiled`),
    });
  }
  if (
    llamaVersion !== undefined &&
    llama.keys().some((key) => key.startsWith(`${name} `))
  ) {
    peers.push({
      title: "llama.cpp, Vulkan",
      rate: (what) =>
        llama.median(
          `${name} ${what.replace(/, chosen by .*/, ", chosen by the host")}`,
        ),
    });
  }
  return peers;
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
