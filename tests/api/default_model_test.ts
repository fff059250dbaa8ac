// The model that is used where none is named.
import assert from "node:assert/strict";
import { test } from "node:test";

import { defaultModel } from "../../src/api/default_model.ts";

const source = { gguf: "a.gguf", open: () => undefined };

test("defaultModel() takes the package wherever it is first found", async () => {
  const asked: string[] = [];
  const found = await defaultModel((specifier) => {
    asked.push(specifier);
    return specifier.startsWith("jsr:")
      ? Promise.resolve({ nano: source })
      : Promise.reject(new Error(`no ${specifier}`));
  });
  assert.equal(found, source);
  assert.equal(asked[0], "@g3n/nano");
  assert.match(asked[1]!, /\/models\/nano\/mod\.ts$/);
  assert.equal(asked.length, 3);
});

test("defaultModel() tells how to install the package, or to name a model", async () => {
  for (const found of [undefined, { nano: {} }]) {
    const missing = defaultModel(() =>
      found === undefined
        ? Promise.reject(new Error("not found"))
        : Promise.resolve(found)
    );
    await assert.rejects(missing, (error: Error) => {
      assert.equal(error.name, "InputError");
      assert.match(error.message, /"@g3n\/nano"; install it .*--model/);
      assert.equal((error.cause as AggregateError).errors.length, 3);
      return true;
    });
  }
});

test("defaultModel() finds the package of the repository", async () => {
  const found = await defaultModel() as typeof source;
  assert.match(found.gguf, /\.gguf$/);
  assert.equal(await found.open(), undefined);
});
