// Pictures and clips that are only named.
import assert from "node:assert/strict";
import { test } from "node:test";
import { pathToFileURL } from "node:url";

import { mediaLoader } from "../../src/api/media_loading.ts";
import { detectPlatform } from "../../src/platform/detect.ts";
import { referenceBytes, referencePath } from "../golden.ts";
import { serveFiles } from "../io/http_server.ts";

const load = mediaLoader(await detectPlatform());

test("media are read by path, file: URL, http: URL and data: URL", async () => {
  const path = referencePath("media/cat.png");
  const bytes = new Uint8Array(await referenceBytes("media/cat.png"));
  await using server = await serveFiles({ "/cat.png": bytes });
  for (
    const name of [
      path,
      pathToFileURL(path),
      pathToFileURL(path).href,
      `${server.address}/cat.png`,
      new URL(`${server.address}/cat.png`),
    ]
  ) assert.deepEqual(await load(name), bytes, String(name));
  assert.deepEqual(await load("data:;base64,AQID"), Uint8Array.of(1, 2, 3));
});

test("media that are not there are told by name", async () => {
  await using server = await serveFiles({});
  const address = `${server.address}/none.png`;
  await assert.rejects(load(address), {
    name: "HubError",
    message: `Cannot fetch "${address}": the server answered 404 Not Found`,
    url: address,
    status: 404,
  });
  // A port where nobody listens.
  const closed = await serveFiles({});
  await closed[Symbol.asyncDispose]();
  await assert.rejects(load(closed.address), {
    name: "HubError",
    message: new RegExp(`^Cannot fetch "${closed.address}": `),
  });
  await assert.rejects(load(referencePath("media")), {
    name: "InputError",
    message: /there is no such file; give the path of a picture or clip/,
  });
  const long = `data:image/png;base64,${"%".repeat(1000)}`;
  await assert.rejects(load(long), (error: Error) => {
    assert.equal(error.name, "HubError");
    assert.ok(error.message.length < 300, error.message);
    return true;
  });
});
