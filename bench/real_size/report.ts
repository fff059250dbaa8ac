// The measured figures as a page of Markdown.
import { cpus, loadavg } from "node:os";
import { createRequire } from "node:module";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { execFileSync } from "node:child_process";
import type { DecoderWork } from "./decoder_work.ts";
import type { Figures } from "./measure.ts";

/** What is told. */
export interface Results {
  readonly figures: Figures;
  readonly runtimes: readonly string[];
  readonly threads: readonly number[];
  readonly file: string;
  readonly fileBytes: number;
  readonly work: DecoderWork;
}

const RATES: readonly (readonly [string, string])[] = [
  ["prefill 128", "prefill 128, tokens/s"],
  ["prefill 512", "prefill 512, tokens/s"],
  ["prefill 2048", "prefill 2048, tokens/s"],
  ["decode 128", "decode at 128, tokens/s"],
  ["decode 512", "decode at 512, tokens/s"],
  ["decode 4096", "decode at 4096, tokens/s"],
];

/** The page. */
export function renderResults(results: Results): string {
  const { file, fileBytes, runtimes, threads } = results;
  const sections = runtimes.flatMap((runtime) => [
    `## ${runtime} ${version(runtime)}`,
    ...threads.map((count) => peerTable(results, runtime, count)),
    boundsTable(results, runtime),
    towersTable(results, runtime),
  ]);
  return [
    "# Results at real size",
    `Written by \`bench/real_size.ts\` on ${
      new Date().toISOString().slice(0, 10)
    }: ${cpus()[0]?.model}, ${cpus().length} processors, load average ${
      loadavg()[0]!.toFixed(1)
    } at the end (the engines' own included); llama.cpp through node-llama-cpp ${peerVersion()}, on the CPU. ` +
    `Synthetic weights, ${file}, a file of ${
      megabytes(fileBytes)
    }. Engines take turns; figures are medians. Prefill ends with the first token chosen. ` +
    "Peak is the most resident memory of a process, pages of a mapped file included; anonymous is without them, at the end.",
    ...sections.filter((section) => section !== ""),
  ].join("\n\n") + "\n";
}

function peerTable(
  { figures }: Results,
  runtime: string,
  threads: number,
): string {
  const ours = `${runtime}/ours/${threads}`;
  const peer = `${runtime}/llama.cpp/${threads}`;
  const rows = RATES.map(([name, label]) =>
    row(
      label,
      figures.median(ours, name),
      figures.median(peer, name),
      (x) => x.toFixed(2),
    )
  );
  for (const name of ["peak", "anonymous"]) {
    rows.push(row(
      name === "peak" ? "peak memory" : "anonymous memory",
      figures.median(ours, name),
      figures.median(peer, name),
      megabytes,
    ));
  }
  rows.push(row(
    "load, s",
    figures.median(ours, "load"),
    figures.median(peer, "load"),
    (x) => x.toFixed(1),
  ));
  return table(
    [
      `${threads} ${threads > 1 ? "threads" : "thread"}`,
      "this library",
      "llama.cpp",
      "ratio",
    ],
    rows,
  );
}

function row(
  label: string,
  ours: number | undefined,
  peer: number | undefined,
  format: (value: number) => string,
): string[] {
  if (ours === undefined) return [];
  return [
    label,
    format(ours),
    peer === undefined ? "" : format(peer),
    peer === undefined ? "" : (ours / peer).toFixed(2),
  ];
}

function boundsTable(
  { figures, threads, work }: Results,
  runtime: string,
): string {
  const rows: string[][] = [];
  const most = Math.max(...threads);
  for (const count of threads) {
    const bound = (name: string) =>
      figures.median(`${runtime}/bounds/${count}`, name)!;
    const ours = `${runtime}/ours/${count}`;
    const decode = figures.median(ours, "decode 128");
    const prefill = figures.median(ours, "prefill 512");
    if (decode === undefined || prefill === undefined) continue;
    const bytes = decode * work.weightBytes;
    const products = prefill * work.prefillMultiplyAdds(512) / 512;
    const threads = `${count} ${count > 1 ? "threads" : "thread"}`;
    rows.push(
      shareRow(
        `decode, ${threads}: memory read`,
        bytes,
        bound("readRate"),
        "GB/s",
      ),
      shareRow(
        `decode, ${threads}: q4 kernel in cache`,
        bytes,
        bound("kernelRate"),
        "GB/s",
      ),
      shareRow(
        `prefill 512, ${threads}: products of bytes`,
        products,
        bound("dotRate"),
        "G/s",
      ),
    );
  }
  const one = `${runtime}/ours/1`;
  for (const name of ["prefill 512", "decode 128"]) {
    const [slow, fast] = [
      figures.median(one, name),
      figures.median(`${runtime}/ours/${most}`, name),
    ];
    if (most === 1 || slow === undefined || fast === undefined) continue;
    rows.push([
      `${name}: ${most} threads against one`,
      "",
      "",
      `${(fast / slow).toFixed(2)} x`,
    ]);
  }
  const whole = figures.median(
    `${runtime}/slow prefill/${most}`,
    "prefill 512",
  );
  const fast = figures.median(`${runtime}/ours/${most}`, "prefill 512");
  if (whole !== undefined && fast !== undefined) {
    rows.push([
      "prefill 512: fast against whole",
      "",
      "",
      `${(fast / whole).toFixed(2)} x`,
    ]);
  }
  return table(["bound of the same run", "reached", "bound", "share"], rows);
}

function shareRow(
  label: string,
  reached: number,
  bound: number,
  unit: string,
): string[] {
  const figure = (x: number) => `${(x / 1e9).toFixed(1)} ${unit}`;
  return [
    label,
    figure(reached),
    figure(bound),
    `${(100 * reached / bound).toFixed(0)} %`,
  ];
}

function towersTable({ figures, threads }: Results, runtime: string): string {
  const rows = threads.flatMap((count) => {
    const key = `${runtime}/towers/${count}`;
    const value = (name: string) => figures.median(key, name);
    if (value("image") === undefined) return [];
    return [[
      `${count} ${count > 1 ? "threads" : "thread"}`,
      value("image")!.toFixed(1),
      value("audio")!.toFixed(1),
      megabytes(value("peak")!),
    ]];
  });
  return rows.length === 0 ? "" : table(
    ["towers", "picture of 768 x 768, s", "clip of 30 s, s", "peak memory"],
    rows,
  );
}

function table(head: readonly string[], rows: readonly string[][]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [
    line(head),
    line(head.map(() => "---")),
    ...rows.filter((cells) => cells.length > 0).map(line),
  ].join("\n");
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(0)} MB`;
}

function version(runtime: string): string {
  const args = runtime === "deno" ? ["-v"] : ["--version"];
  return execFileSync(runtime, args, { encoding: "utf8" })
    .replace(/^(deno|v)\s*/, "").trim();
}

function peerVersion(): string {
  const path = new URL(
    "../peers/node_modules/node-llama-cpp/package.json",
    import.meta.url,
  );
  if (!existsSync(fileURLToPath(path))) return "(not installed)";
  const { version } = createRequire(import.meta.url)(fileURLToPath(path));
  return version;
}
