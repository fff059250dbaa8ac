// The example server: started by Deno or Bun, asked once, stopped. Node has no
// server that takes such a module; there the module itself is asked.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import process from "node:process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import { cases, referencePath } from "../golden.ts";
import { runtimeName } from "../platform/runtime.ts";

const SERVER = new URL("../../examples/streaming_server.ts", import.meta.url);
const TINY = referencePath("tiny");
const QUERY = "/generate?prompt=The%20capital%20of%20France%20is";
/** A server that is not up by then never will be. */
const TIMEOUT_MS = 60_000;

const COMMANDS = {
  deno: ["serve", "-A", "--no-check", "--host", "127.0.0.1", "--port", "0"],
  bun: [],
};

test("streaming_server.ts streams what Transformers generates", async () => {
  const runtime = runtimeName();
  const text = runtime === "node"
    ? await askModule()
    : await askServer(COMMANDS[runtime]);
  const expected = (await cases()).find(({ name }) => name === "text")!;
  assert.ok(text.startsWith(expected.generated[0]!), text);
});

async function askModule(): Promise<string> {
  process.env["MODEL"] = TINY;
  const { default: server } = await import(SERVER.href);
  const ask = (path: string): Response =>
    server.fetch(new Request(`http://localhost${path}`));
  assert.equal(ask("/generate").status, 400);
  assert.equal(ask("/other").status, 404);
  assert.match(await ask("/").text(), /<form>/);
  return await ask(QUERY).text();
}

async function askServer(command: readonly string[]): Promise<string> {
  const child = spawn(
    process.execPath,
    [...command, fileURLToPath(SERVER)],
    { env: { ...process.env, MODEL: TINY, PORT: "0", NO_COLOR: "1" } },
  );
  try {
    const port = await listeningPort(child);
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    const response = await fetch(`http://127.0.0.1:${port}${QUERY}`, {
      signal,
    });
    assert.equal(response.status, 200);
    return await response.text();
  } finally {
    child.kill("SIGKILL");
    await new Promise((resolve) => child.once("close", resolve));
  }
}

/** Waits until the server says on which port it listens. */
function listeningPort(child: ReturnType<typeof spawn>): Promise<string> {
  let output = "";
  return new Promise((resolve, reject) => {
    const fail = () => reject(new Error(`The server did not start: ${output}`));
    const timer = setTimeout(fail, TIMEOUT_MS);
    const listen = (data: unknown) => {
      output += data;
      const port = /https?:\/\/[\w.\-[\]:]*:(\d+)/.exec(output)?.[1];
      if (port === undefined) return;
      clearTimeout(timer);
      resolve(port);
    };
    child.stdout!.on("data", listen);
    child.stderr!.on("data", listen);
    child.once("exit", fail);
    child.once("error", reject);
  });
}
