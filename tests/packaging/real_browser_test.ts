// The library in a page of a real browser: Chromium without a window, with
// SwiftShader for WebGPU.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import { build } from "esbuild";

import { unpackChromium } from "../../tools/chromium.ts";
import { cases, golden } from "../golden.ts";
import { assertClose } from "../testing.ts";

const ROOT = new URL("../../", import.meta.url);
const path = (name: string) => fileURLToPath(new URL(name, ROOT));

/** What is asked in the page: golden cases, the media below tests/reference. */
const QUESTIONS = [
  { name: "text", text: "The capital of France is" },
  {
    name: "image",
    part: { type: "image", url: "/reference/media/cat.png" },
    text: "이 이미지에 무엇이 보이나요?",
  },
  {
    name: "audio",
    part: { type: "audio", url: "/reference/media/speech-16k.wav" },
    text: "Transcribe the audio.",
  },
] as const;

/**
 * What each device is asked. SwiftShader takes a second to compile a kernel,
 * and the towers have many: Node runs them on it one by one, in tests/ops/.
 */
const ASKED = { wasm: ["text", "image", "audio"], webgpu: ["text"] } as const;

const LIMIT_MS = 360_000;
/** Largest difference of logits to Transformers'. */
const LOGITS_ATOL = 5e-3;

const PAGE = `
  import { pipeline } from "@g3n/core";
  const source = {
    async open(name) {
      const response = await fetch("/reference/tiny/" + name);
      return response.ok ? await response.blob() : undefined;
    },
  };
  const system = "당신은 도움이 되는 어시스턴트입니다.";
  const absolute = (part) => ({ ...part, url: new URL(part.url, location.href).href });
  async function answers(device, questions) {
    const found = {};
    for (const { name, text, part, maxNewTokens } of questions) {
      const task = part ? "any-to-any" : "text-generation";
      await using generate = await pipeline(task, source, { device });
      const input = part
        ? [
          { role: "system", content: [{ type: "text", text: system }] },
          { role: "user", content: [absolute(part), { type: "text", text }] },
        ]
        : text;
      const [answer] = await generate(input, { maxNewTokens, doSample: false });
      found[name] = { text: answer.generatedText, logits: await logits(generate, input) };
    }
    return found;
  }
  async function logits({ model, processor }, input) {
    if (typeof input !== "string") return undefined;
    const inputs = await processor.process({ text: input });
    return [...(await model.forward(inputs)).logits.data];
  }
  let result;
  try {
    const { device, questions } = await (await fetch("/task")).json();
    result = { found: await answers(device, questions), isolated: crossOriginIsolated };
  } catch (error) {
    result = { error: String(error?.stack ?? error) };
  }
  await fetch("/result", { method: "POST", body: JSON.stringify(result) });`;

/** What a question comes to. */
interface PageAnswer {
  readonly text: string;
  /** Of a prompt that is continued: `[T, V]`. */
  readonly logits?: readonly number[];
}

/** What the page tells. */
interface PageResult {
  readonly found?: Readonly<Record<string, PageAnswer>>;
  readonly error?: string;
}

const chromium = await unpackChromium();
const isRequired = process.env["G3N_REQUIRE_WEBGPU"] !== undefined;
if (chromium === undefined && isRequired) {
  throw new Error("Cannot test in a browser: there is no Chromium to unpack");
}

for (const [device, asked] of Object.entries(ASKED)) {
  test(`a page of Chromium answers as Transformers on ${device}`, {
    skip: chromium === undefined && "there is no Chromium for this machine",
  }, async () => {
    const all = await cases();
    const goldenOf = (name: string) => all.find((c) => c.name === name)!;
    const questions = QUESTIONS
      .filter(({ name }) => (asked as readonly string[]).includes(name))
      .map((question) => ({
        ...question,
        maxNewTokens: goldenOf(question.name).newTokens,
      }));
    const { found, error } = await runPage({ device, questions });
    assert.equal(error, undefined);
    for (const { name } of questions) {
      const { text, logits } = found![name]!;
      assert.equal(text, goldenOf(name).generated[0], name);
      if (name !== "text") continue;
      const { data } = (await golden()).float32("text.logits");
      assertClose(logits!, data, { atol: LOGITS_ATOL, label: "logits" });
    }
  });
}

/** Opens the page, gives it its task, and waits for what it tells. */
async function runPage(task: unknown): Promise<PageResult> {
  const script = await bundle();
  const result = Promise.withResolvers<PageResult>();
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    async (request) => {
      const { pathname } = new URL(request.url);
      if (request.method === "POST") result.resolve(await request.json());
      return await respond(pathname, script, task);
    },
  );
  const profile = await mkdtemp(join(tmpdir(), "g3n-chromium-"));
  const { program, libraryPath } = chromium!;
  const browser = spawn(program, [
    "--headless",
    "--no-sandbox",
    "--disable-dev-shm-usage",
    `--user-data-dir=${profile}`,
    "--enable-unsafe-webgpu",
    "--use-webgpu-adapter=swiftshader",
    `http://127.0.0.1:${server.addr.port}/`,
  ], {
    stdio: "ignore",
    env: { ...process.env, LD_LIBRARY_PATH: libraryPath },
  });
  const ended = once(browser, "exit");
  const fail = (reason: string) => () => result.reject(new Error(reason));
  browser.on("exit", fail("Chromium ended before its page told anything"));
  const timer = setTimeout(fail("The page told nothing in time"), LIMIT_MS);
  try {
    return await result.promise;
  } finally {
    clearTimeout(timer);
    browser.kill("SIGKILL");
    await ended;
    await server.shutdown();
    await rm(profile, { recursive: true, force: true, maxRetries: 3 });
  }
}

async function respond(
  pathname: string,
  script: string,
  task: unknown,
): Promise<Response> {
  // A page may share memory, and so use threads, with these two.
  const headers = {
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-embedder-policy": "require-corp",
  };
  const reply = (body: BodyInit, type: string) =>
    new Response(body, { headers: { ...headers, "content-type": type } });
  if (pathname === "/") {
    return reply('<script type="module" src="page.js"></script>', "text/html");
  }
  if (pathname === "/page.js") return reply(script, "text/javascript");
  if (pathname === "/task") {
    return reply(JSON.stringify(task), "application/json");
  }
  if (pathname.startsWith("/reference/")) {
    try {
      const bytes = await Deno.readFile(path(`tests${pathname}`));
      return reply(bytes, "application/octet-stream");
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  return new Response(null, { status: 404 });
}

async function bundle(): Promise<string> {
  const { outputFiles } = await build({
    stdin: { contents: PAGE, resolveDir: path("") },
    alias: {
      "@g3n/core": path("mod.ts"),
      "@huggingface/hub": path(
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
