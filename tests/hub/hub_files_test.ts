import { test } from "node:test";
import assert from "node:assert/strict";
import type { ServerResponse } from "node:http";

import { HubError, InputError } from "../../src/core/errors.ts";
import { hubFiles } from "../../src/hub/hub_files.ts";
import { detectPlatform } from "../../src/platform/detect.ts";
import type { Platform } from "../../src/platform/platform.ts";
import { type SeenRequest, sendRange, serveFiles } from "../io/http_server.ts";

const WEIGHTS = Uint8Array.from({ length: 100_003 }, (_, i) => i % 251);
const CONFIG = '{"model_type": "gemma3n"}';
const COMMIT = "0123456789abcdef0123456789abcdef01234567";
const FILES = {
  "/org/name/resolve/main/config.json": new TextEncoder().encode(CONFIG),
  [`/org/name/resolve/${COMMIT}/weights`]: WEIGHTS,
  "/org/name/resolve/refs%2Fpr%2F1/weights": WEIGHTS,
};

/** The environment must not decide what these tests see. */
const platform: Platform = { ...await detectPlatform(), env: () => undefined };

/** Answers as the hub does: an ETag, the commit, a code for missing files. */
function hub(request: SeenRequest, response: ServerResponse): boolean {
  response.setHeader("ETag", '"1"');
  response.setHeader("X-Repo-Commit", COMMIT);
  if (!(request.path in FILES)) {
    response.setHeader("X-Error-Code", "EntryNotFound");
  }
  sendRange(FILES, request, response);
  return true;
}

test("hubFiles() reads files by range, all of one commit", async () => {
  await using server = await serveFiles({}, hub);
  const files = hubFiles("org/name", platform, { hubUrl: server.address });
  assert.equal(await files.readText("config.json"), CONFIG);
  const weights = (await files.open("weights"))!;
  assert.equal(weights.size, WEIGHTS.length);
  const part = await weights.read(70_000, 1000);
  assert.deepEqual(part, WEIGHTS.slice(70_000, 71_000));
  assert.deepEqual(server.seen.map(({ path, range }) => [path, range]), [
    ["/org/name/resolve/main/config.json", "bytes=0-0"],
    ["/org/name/resolve/main/config.json", `bytes=0-${CONFIG.length - 1}`],
    [`/org/name/resolve/${COMMIT}/weights`, "bytes=0-0"],
    [`/org/name/resolve/${COMMIT}/weights`, "bytes=70000-70999"],
  ]);
});

test("hubFiles() gives undefined for a file the repository lacks", async () => {
  await using server = await serveFiles({}, hub);
  const files = hubFiles("org/name", platform, { hubUrl: server.address });
  assert.equal(await files.open("none.json"), undefined);
  assert.equal(await files.readText("none.json"), undefined);
});

test("hubFiles() passes revision and token, HF_TOKEN and HF_ENDPOINT by default", async () => {
  await using server = await serveFiles({}, hub);
  const variables: Record<string, string> = {
    HF_TOKEN: "hf_environment",
    HF_ENDPOINT: server.address,
  };
  const withEnv = { ...platform, env: (name: string) => variables[name] };
  const revision = "refs/pr/1";
  await hubFiles("org/name", withEnv, { revision }).open("weights");
  const token = "hf_option";
  await hubFiles("org/name", withEnv, { revision, token }).open("weights");
  assert.deepEqual(
    server.seen.map(({ path, authorization }) => [
      path,
      authorization,
    ]),
    [
      ["/org/name/resolve/refs%2Fpr%2F1/weights", "Bearer hf_environment"],
      ["/org/name/resolve/refs%2Fpr%2F1/weights", "Bearer hf_option"],
    ],
  );
});

test("hubFiles() follows the hub to the store of large files, without the token", async () => {
  await using store = await serveFiles({ "/bytes": WEIGHTS });
  await using server = await serveFiles({}, (request, response) => {
    if (request.range === "bytes=0-0") { // asks for what the file is
      response.writeHead(200, {
        "Content-Type": "application/vnd.xet-fileinfo+json",
        "X-Linked-Size": WEIGHTS.length,
        "X-Linked-ETag": '"2"',
        "X-Xet-Hash": "0".repeat(64),
        Link: `<${store.address}/auth>; rel="xet-auth", ` +
          `<${store.address}/xet>; rel="xet-reconstruction-info"`,
      }).end("{}");
    } else {response.writeHead(302, { Location: `${store.address}/bytes` })
        .end();}
    return true;
  });
  const options = { hubUrl: server.address, token: "hf_x" };
  const weights = (await hubFiles("org/name", platform, options).open("w"))!;
  assert.equal(weights.size, WEIGHTS.length);
  assert.deepEqual(await weights.read(5, 100), WEIGHTS.slice(5, 105));
  assert.equal(server.seen[1]?.authorization, "Bearer hf_x");
  assert.deepEqual(store.seen, [
    { path: "/bytes", range: "bytes=5-104", authorization: undefined },
  ]);
});

const REFUSALS: [number, RegExp][] = [
  [401, /answers 401; accept the licence at .*\/org\/name, and set HF_TOKEN/],
  [403, /answers 403; accept the licence/],
  [404, /answers 404; check the name of the repository and the revision/],
  [429, /answers 429; wait a while/],
  [500, /answers 500$/],
];

for (const [status, message] of REFUSALS) {
  test(`hubFiles() rejects with a HubError and a remedy when the hub answers ${status}`, async () => {
    await using server = await serveFiles({}, (_, response) => {
      response.writeHead(status).end("no");
      return true;
    });
    const options = { hubUrl: server.address, retryDelayMs: 1 };
    const files = hubFiles("org/name", platform, options);
    await assert.rejects(files.open("config.json"), (error) => {
      assert.ok(error instanceof HubError);
      assert.equal(error.status, status);
      assert.match(error.url ?? "", /\/org\/name/);
      assert.match(error.message, message);
      return true;
    });
    assert.equal(server.seen.length, status === 429 || status === 500 ? 4 : 1);
  });
}

test("hubFiles() rejects with a HubError when access ends between reads", async () => {
  let refuse = false;
  await using server = await serveFiles({}, (request, response) => {
    if (!refuse) return hub(request, response);
    response.writeHead(401).end();
    return true;
  });
  const files = hubFiles("org/name", platform, { hubUrl: server.address });
  const config = (await files.open("config.json"))!;
  refuse = true;
  await assert.rejects(config.read(0, 5), { status: 401, message: /licence/ });
});

test("hubFiles() rejects with a HubError when nobody answers or the answer is none", async () => {
  const server = await serveFiles({}, (_, response) => {
    response.writeHead(200).end("<html>");
    return true;
  });
  const options = { hubUrl: server.address, retryDelayMs: 1 };
  const files = hubFiles("org/name", platform, options);
  await assert.rejects(files.open("config.json"), HubError);
  await server[Symbol.asyncDispose]();
  await assert.rejects(files.open("config.json"), {
    name: "HubError",
    message: /Cannot reach/,
  });
});

test("hubFiles() rejects with the signal's reason when it aborts", async () => {
  const controller = new AbortController();
  await using server = await serveFiles({}, () => {
    setTimeout(() => controller.abort(new Error("enough")), 20);
    return true; // and never answer
  });
  const { signal } = controller;
  const options = { hubUrl: server.address, signal };
  const files = hubFiles("org/name", platform, options);
  await assert.rejects(files.open("config.json"), /enough/);
});

test("hubFiles() throws an InputError when the token is not one of the hub", () => {
  assert.throws(
    () => hubFiles("org/name", platform, { token: "secret" }),
    (error) => error instanceof InputError && !error.message.includes("secret"),
  );
});
