// Figures of a GPU, from the lines of both benches to a section of the page.
import assert from "node:assert/strict";
import { test } from "node:test";
import { GpuFigures, parseGpuLine } from "../../bench/gpu/figures.ts";
import { renderGpuSection } from "../../bench/gpu/report.ts";
import { updatePage } from "../../bench/results_page.ts";

const OURS = [
  "4318 NVIDIA H100",
  "E2B    memory                         weights 1600 MiB, kv 9 MiB",
  "E2B    prefill 2048                   4000 tok/s, 512.0 ms, encoding 9.0 ms",
  "E2B    decode at 128                  250.0 tok/s, 4.000 ms (best 3.900)",
  "E2B    decode at 128, no logits read  260.0 tok/s, 3.846 ms (best 3.8)",
  "E2B    at 128, GPU chooses, 8 a run   500.0 tok/s, 2.000 ms (median 2.1), encoding 0.750 ms",
  "image 768 x 768 q8: 50.00 ms (best 49.00), on the GPU 45.00 ms",
];
const PEER = [
  "NVIDIA H100, torch 2.11.0, transformers 5.17.0, bfloat16",
  "E2B    decode at 128, eager           50.0 tok/s, 20.000 ms (best 19.0)",
  "E2B    decode at 128, compiled        125.0 tok/s, 8.000 ms (best 7.9)",
  "E2B    prefill 2048                   16000 tok/s, 128.0 ms",
  "image 768 x 768 bfloat16: 25.00 ms (best 24.00)",
];

const LLAMA = [
  "llama.cpp v0.5.0 through node-llama-cpp 3.22.1, Vulkan, q4_0",
  "E2B    decode at 128                  200.0 tok/s, 5.000 ms (best 4.900)",
  "E2B    at 128, chosen by the host     100.0 tok/s, 10.000 ms (best 9.9)",
  "E2B    prefill 2048                   8000 tok/s, 256.0 ms, in batches of 512",
];

function figures(...rounds: readonly string[][]): GpuFigures {
  const figures = new GpuFigures();
  for (const lines of rounds) figures.add(lines);
  return figures;
}

test("parseGpuLine() reads rates of decoders and times of towers, nothing else", () => {
  assert.deepEqual(OURS.map((line) => parseGpuLine(line)), [
    undefined,
    undefined,
    { name: "E2B", what: "prefill 2048", value: 4000, unit: "tok/s" },
    { name: "E2B", what: "decode at 128", value: 250, unit: "tok/s" },
    {
      name: "E2B",
      what: "decode at 128, no logits read",
      value: 260,
      unit: "tok/s",
    },
    {
      name: "E2B",
      what: "at 128, GPU chooses, 8 a run",
      value: 500,
      unit: "tok/s",
      encodingMs: 0.75,
    },
    { name: "image 768 x 768", what: "q8", value: 50, unit: "ms" },
  ]);
});

test("figures of several rounds are medians", () => {
  const line = (rate: number) => [
    `E2B    decode at 128                  ${rate} tok/s, 1 ms`,
  ];
  assert.equal(
    figures(line(3), line(9), line(4)).median("E2B decode at 128"),
    4,
  );
  assert.equal(figures(line(3), line(9)).median("E2B decode at 128"), 6);
  assert.equal(figures().median("E2B decode at 128"), undefined);
});

test("ratios above 1 are in favour of this library, for rates and for times", () => {
  const section = renderGpuSection({
    ours: figures(OURS),
    peer: figures(PEER),
    adapter: "NVIDIA H100",
    peerVersion: PEER[0]!,
    llama: figures(),
    llamaVersion: undefined,
    date: "2026-01-01",
    rounds: 1,
  });
  assert.doesNotMatch(section, /llama\.cpp/);
  assert.match(section, /^## WebGPU, NVIDIA H100\n/);
  assert.match(
    section,
    /\| decode at 128 \| 250\.0 \| {2}\| 50\.0 \| 5\.00 \| 125\.0 \| 2\.00 \|/,
  );
  assert.match(
    section,
    /\| prefill 2048 \| 4000\.0 \| {2}\| 16000\.0 \| 0\.25 \| {2}\| {2}\|/,
  );
  assert.match(
    section,
    /\| generation at 128, GPU chooses, 8 a run \| 500\.0 \| 0\.75 \| 50\.0 \| 10\.00 \| 125\.0 \| 4\.00 \|/,
  );
  assert.match(section, /\| image 768 x 768, q8 \| 50\.0 \| 25\.0 \| 0\.50 \|/);
});

test("llama.cpp has a column where it has figures: its clock, or the caller's", () => {
  const others = [
    "E2B    at 128, chosen by the GPU, 8 a run  500.0 tok/s, 2.000 ms",
    "E2B    at 128, sampled by the host    100.0 tok/s, 10.000 ms",
    "E4B    decode at 128                  150.0 tok/s, 6.667 ms",
  ];
  const section = renderGpuSection({
    ours: figures([...OURS, ...others]),
    peer: figures(),
    adapter: "NVIDIA H100",
    peerVersion: undefined,
    llama: figures(LLAMA),
    llamaVersion: LLAMA[0]!,
    date: "2026-01-01",
    rounds: 1,
  });
  assert.match(
    section,
    /beside llama\.cpp v0\.5\.0 through .*, q4_0, one turn/,
  );
  for (
    const row of [
      "E2B, tokens/s | this library, q4 | encoding, ms | llama.cpp, Vulkan | ratio",
      "prefill 2048 | 4000.0 |  | 8000.0 | 0.50",
      "decode at 128 | 250.0 |  | 200.0 | 1.25",
      "decode at 128, no logits read | 260.0 |  |  | ",
      "generation at 128, chosen by the GPU, 8 a run | 500.0 |  | 100.0 | 5.00",
      "generation at 128, sampled by the host | 100.0 |  |  | ",
      "E4B, tokens/s | this library, q4 | encoding, ms",
      "decode at 128 | 150.0 | ",
    ]
  ) {
    assert.ok(
      section.includes(`| ${row} |\n`) || section.endsWith(`| ${row} |`),
      row,
    );
  }
});

test("updatePage() replaces its own sections and keeps those of others", () => {
  const before = updatePage(
    "",
    new Map([
      ["deno ", "## deno 2.9.6, e2b\n\nold"],
      ["WebGPU, A", "## WebGPU, A\n\nkept"],
    ]),
  );
  const after = updatePage(
    before,
    new Map([["deno ", "## deno 3, e2b\n\nnew"]]),
  );
  assert.deepEqual(after.match(/^(## .*|old|new|kept)$/gm), [
    "## WebGPU, A",
    "kept",
    "## deno 3, e2b",
    "new",
  ]);
  assert.equal(after, updatePage(after, new Map()));
});
