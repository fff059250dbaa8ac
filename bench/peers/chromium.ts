// This library and wllama, llama.cpp for browsers, on the same GGUF file in the
// same Chromium without a window, one after the other. Writes a section of
// bench/RESULTS.md.
//
//   (cd bench/peers && npm install)
//   deno run -A bench/peers/chromium.ts FILE [--threads 2] [--rounds 2] [--dry]
import { spawn } from "node:child_process";
import { once } from "node:events";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { build } from "esbuild";
import { unpackChromium } from "../../tools/chromium.ts";
import { Figures } from "../real_size/measure.ts";
import { renderPart } from "../real_size/report.ts";
import { table } from "../results_page.ts";
import {
  ourPage,
  type PageOptions,
  type Told,
  wllamaPage,
} from "./chromium_pages.ts";

/** Time of a page; what it has told by then counts. */
const LIMIT_MS = 600_000;
const PROMPTS = [128, 512];
const ROOT = new URL("../../", import.meta.url);
const WLLAMA = new URL("node_modules/@wllama/wllama/esm/", import.meta.url);
/** A page may share memory, and so use threads, with the first two. */
const HEADERS = {
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-embedder-policy": "require-corp",
  "accept-ranges": "bytes",
};
const TYPES: Readonly<Record<string, string>> = {
  js: "text/javascript",
  wasm: "application/wasm",
};

const { values: options, positionals: [path] } = parseArgs({
  args: Deno.args,
  allowPositionals: true,
  options: {
    threads: { type: "string", default: "2" },
    rounds: { type: "string", default: "2" },
    dry: { type: "boolean", default: false },
  },
});
const threads = Number(options.threads);
const pageOptions: PageOptions = {
  file: basename(path!),
  threads,
  prompts: Array(Number(options.rounds)).fill(PROMPTS).flat(),
};
const figures = new Figures();
const errors: string[] = [];
await runPage("this library", await bundle(ourPage(pageOptions)));
await runPage("wllama", wllamaPage(pageOptions));

const names = [
  "load",
  ...PROMPTS.flatMap((n) => [`prefill ${n}`, `decode ${n}`]),
];
const rows = names.map((name) => {
  const [ours, theirs] = ["this library", "wllama"].map((engine) =>
    figures.best(engine, name, name === "load")
  );
  const told = (x: number | undefined) => x?.toFixed(2) ?? "";
  const ratio = ours && theirs ? (ours / theirs).toFixed(2) : "";
  const label = name === "load" ? "load, s" : `${name}, tokens/s`;
  return [label, told(ours), told(theirs), ratio];
});
const { version } = JSON.parse(
  await Deno.readTextFile(new URL("../package.json", WLLAMA)),
);
const head = [`${threads} threads, best`, "this library", "wllama", "ratio"];
const parts = [
  `In Chromium without a window; wllama ${version} by its own clocks.`,
  table(head, rows),
  ...errors,
];
const page = fileURLToPath(new URL("bench/RESULTS.md", ROOT));
const name = `chromium, ${basename(path!, ".gguf")}`;
const text = renderPart("deno", name, parts, await Deno.readTextFile(page));
console.log(parts.join("\n\n"));
if (!options.dry) await Deno.writeTextFile(page, text);
Deno.exit();

/** Opens a page and keeps what it tells. */
async function runPage(engine: string, script: string): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const keep = (told: Told) => {
    if (told.end) resolve();
    if (told.error) errors.push(`${engine}: \`${told.error.split("\n")[0]}\``);
    if (told.load) figures.add(engine, "load", told.load);
    if (told.prompt === undefined) return;
    const near = PROMPTS.find((n) => Math.abs(n - told.prompt!) < n / 4);
    figures.add(engine, `prefill ${near}`, told.prefill!);
    figures.add(engine, `decode ${near}`, told.decode!);
  };
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    async (request) => {
      if (request.method !== "POST") return await respond(request, script);
      keep(await request.json());
      return new Response(null, { headers: HEADERS });
    },
  );
  const { program, libraryPath } = (await unpackChromium())!;
  const profile = await Deno.makeTempDir({ prefix: "g3n-chromium-" });
  const browser = spawn(program, [
    "--headless",
    "--no-sandbox",
    "--disable-dev-shm-usage",
    `--user-data-dir=${profile}`,
    `http://127.0.0.1:${server.addr.port}/`,
  ], {
    stdio: "ignore",
    env: { ...Deno.env.toObject(), LD_LIBRARY_PATH: libraryPath },
  });
  const ended = once(browser, "exit");
  browser.on("exit", () => reject(new Error(`${engine}: Chromium ended`)));
  const late = () => {
    errors.push(`${engine}: no more figures in ${LIMIT_MS / 1000} s`);
    resolve();
  };
  const timer = setTimeout(late, LIMIT_MS);
  try {
    await promise;
  } finally {
    clearTimeout(timer);
    browser.kill("SIGKILL");
    await ended;
    await server.shutdown();
    await Deno.remove(profile, { recursive: true });
  }
}

async function respond(request: Request, script: string): Promise<Response> {
  const { pathname } = new URL(request.url);
  const reply = (body: BodyInit, type: string) =>
    new Response(body, { headers: { ...HEADERS, "content-type": type } });
  if (pathname === "/") {
    return reply('<script type="module" src="page.js"></script>', "text/html");
  }
  if (pathname === "/page.js") return reply(script, TYPES["js"]!);
  if (pathname.startsWith("/wllama/")) {
    const url = new URL(pathname.slice("/wllama/".length), WLLAMA);
    return reply(await Deno.readFile(url), TYPES[pathname.split(".").at(-1)!]!);
  }
  if (pathname === `/model/${pageOptions.file}`) return await range(request);
  return new Response(null, { status: 404, headers: HEADERS });
}

/** The bytes of the file that a request asks for. */
async function range({ headers, method }: Request): Promise<Response> {
  const { size } = await Deno.stat(path!);
  const asked = /^bytes=(\d+)-(\d*)$/.exec(headers.get("range") ?? "");
  const first = Number(asked?.[1] ?? 0);
  const last = Math.min(Number(asked?.[2] || size - 1), size - 1);
  const file = await Deno.open(path!);
  await file.seek(first, Deno.SeekMode.Start);
  let left = last - first + 1;
  const limited = new TransformStream<Uint8Array, Uint8Array>({
    transform(chunk, controller) {
      controller.enqueue(chunk.subarray(0, left));
      left -= Math.min(left, chunk.length);
      if (left === 0) controller.terminate();
    },
  });
  const body = file.readable.pipeThrough(limited);
  if (method === "HEAD") await body.cancel();
  return new Response(method === "HEAD" ? null : body, {
    status: asked ? 206 : 200,
    headers: {
      ...HEADERS,
      "content-length": String(left),
      "content-range": `bytes ${first}-${last}/${size}`,
    },
  });
}

async function bundle(contents: string): Promise<string> {
  const local = (name: string) => fileURLToPath(new URL(name, ROOT));
  const { outputFiles } = await build({
    stdin: { contents, resolveDir: local("") },
    alias: {
      "@g3n/core": local("mod.ts"),
      "@huggingface/hub": local(
        "node_modules/@huggingface/hub/dist/browser/index.mjs",
      ),
    },
    bundle: true,
    format: "esm",
    platform: "browser",
    target: "es2022",
    write: false,
  });
  return outputFiles[0]!.text;
}
