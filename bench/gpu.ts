// This library on a GPU beside Transformers on the same card, by turns:
//   deno run -A --no-check bench/gpu.ts [--sizes e2b,e4b] [--rounds 1]
//     [--parts decode,compiled,prefill,picture,sound] [--python python3]
//     [--device cuda] [--tiny] [--dry] [--ours FILE] [--peer FILE]
//     [--llama FILE] [--machine NAME]
// With --ours the output of the benches of this library is read from a file, and
// with --peer that of bench/peers/transformers_gpu.py, for cards that are lent
// for minutes; with --ours alone the section is without the peer. With --llama
// that of bench/peers/llama_vulkan.ts is read, for a column of its own.
// --machine names one of several with the same card, whose processors differ.
// Python needs torch, transformers and timm (bench/peers/transformers_gpu.py).
// Writes a section of bench/RESULTS.md, unless --dry or --tiny. Imports no
// package, so that it runs where no registry is reached.
import { parseArgs } from "node:util";
import { GpuFigures } from "./gpu/figures.ts";
import { gpuSectionStart, renderGpuSection } from "./gpu/report.ts";
import { updatePage } from "./results_page.ts";

const { values: options } = parseArgs({
  args: Deno.args,
  options: {
    sizes: { type: "string", default: "e2b,e4b" },
    parts: { type: "string", default: "decode,compiled,prefill,picture,sound" },
    rounds: { type: "string", default: "1" },
    python: { type: "string", default: "python3" },
    device: { type: "string", default: "cuda" },
    tiny: { type: "boolean", default: false },
    dry: { type: "boolean", default: false },
    ours: { type: "string" },
    peer: { type: "string" },
    llama: { type: "string" },
    machine: { type: "string" },
  },
});
const parts = options.parts.split(",");
const sizes = options.sizes.split(",");
const tiny = options.tiny ? ["--tiny"] : [];
const isSaved = options.ours !== undefined;
const rounds = isSaved ? 1 : Number(options.rounds);

const ours = new GpuFigures();
const peer = new GpuFigures();
const llama = new GpuFigures();
const llamaLines = options.llama === undefined
  ? undefined
  : saved(options.llama);
if (llamaLines) llama.add(llamaLines);
let adapter = "";
let peerVersion: string | undefined;
for (let round = 0; round < rounds; round++) {
  const lines = isSaved ? saved(options.ours!) : await measureOurs();
  // Deno gives the vendor as a number.
  adapter = lines[0]!.replace(/^\d+ /, "");
  if (options.machine) adapter += `, ${options.machine}`;
  ours.add(lines);
  if (isSaved && options.peer === undefined) continue;
  const others = options.peer === undefined
    ? await measurePeer()
    : saved(options.peer);
  peerVersion = others[0]!;
  peer.add(others);
}
const section = renderGpuSection({
  ours,
  peer,
  adapter,
  peerVersion,
  llama,
  llamaVersion: llamaLines?.[0],
  rounds,
  date: new Date().toISOString().slice(0, 10),
});
console.log(`\n${section}`);
if (!options.dry && !options.tiny) {
  const page = new URL("RESULTS.md", import.meta.url);
  const sections = new Map([[gpuSectionStart(adapter), section]]);
  Deno.writeTextFileSync(
    page,
    updatePage(Deno.readTextFileSync(page), sections),
  );
}

/** Lines that were printed before. */
function saved(path: string): string[] {
  return Deno.readTextFileSync(path).trimEnd().split("\n");
}

/** The benches of decoders and of towers, whose weights are made in each. */
async function measureOurs(): Promise<string[]> {
  const bench = (name: string, ...args: string[]) =>
    run(Deno.execPath(), ["run", "-A", "--no-check", here(name), ...args]);
  const lines: string[] = [];
  if (parts.some((part) => /decode|compiled|prefill/.test(part))) {
    // Each has its own name for the small model.
    const sizesOr = (small: string) => options.tiny ? ["--tiny", small] : sizes;
    lines.push(
      ...await bench("models/webgpu_bench.ts", ...sizesOr("e2b")),
      ...await bench("models/webgpu_generation_bench.ts", ...sizesOr("tiny")),
    );
  }
  const towers = [
    ...parts.includes("picture") ? ["image"] : [],
    ...parts.includes("sound") ? ["audio"] : [],
  ];
  if (towers.length > 0) {
    lines.push(
      ...await bench("models/webgpu_towers_bench.ts", ...tiny, ...towers),
    );
  }
  return lines;
}

function measurePeer(): Promise<string[]> {
  return run(options.python, [
    here("peers/transformers_gpu.py"),
    `--device=${options.device}`,
    `--sizes=${options.sizes}`,
    `--parts=${options.parts}`,
    ...tiny,
  ]);
}

/** Lines of standard output, which are shown as they come. */
async function run(program: string, args: string[]): Promise<string[]> {
  const child = new Deno.Command(program, { args, stdout: "piped" }).spawn();
  const lines: string[] = [];
  let rest = "";
  for await (
    const text of child.stdout.pipeThrough(new TextDecoderStream())
  ) {
    const complete = (rest + text).split("\n");
    rest = complete.pop()!;
    for (const line of complete) console.log(line);
    lines.push(...complete);
  }
  const { success, code } = await child.status;
  if (!success) throw new Error(`"${program}" ended with code ${code}`);
  return lines;
}

function here(path: string): string {
  return decodeURIComponent(new URL(path, import.meta.url).pathname);
}
