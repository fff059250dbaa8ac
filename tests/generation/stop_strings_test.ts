import assert from "node:assert/strict";
import { test } from "node:test";
import {
  cutAtStopString,
  StopStringWatcher,
} from "../../src/generation/stop_strings.ts";

/** What comes out when `text` goes in in pieces of `size`. */
function stream(text: string, stopStrings: string[], size: number): string[] {
  const watcher = new StopStringWatcher(stopStrings);
  const out: string[] = [];
  for (let i = 0; i < text.length; i += size) {
    out.push(watcher.push(text.slice(i, i + size)));
  }
  return [...out, watcher.flush()];
}

test("cutAtStopString() cuts at the first and longest", () => {
  assert.deepEqual(cutAtStopString("a END b END", ["END"]), {
    text: "a ",
    stopString: "END",
  });
  assert.equal(cutAtStopString("xyz", ["z", "y", "yz"]).stopString, "yz");
  assert.deepEqual(cutAtStopString("xyz", []), {
    text: "xyz",
    stopString: undefined,
  });
});

test("StopStringWatcher gives the same text however it is cut into pieces", () => {
  const text = "one aab two aaab three";
  for (const size of [1, 2, 3, 5, 100]) {
    assert.equal(stream(text, ["aaab"], size).join(""), "one aab two ");
    assert.equal(stream(text, ["none"], size).join(""), text);
    assert.equal(stream(text, [], size).join(""), text);
  }
});

test("StopStringWatcher holds back what may become a stop string, and no more", () => {
  assert.deepEqual(stream("a\n", ["\n\n"], 1), ["a", "", "\n"]);
  assert.deepEqual(stream("a\nb", ["\n\n"], 1), ["a", "", "\nb", ""]);
  assert.deepEqual(stream("a\n\nb", ["\n\n"], 1), ["a", "", "", "", ""]);
});

test("StopStringWatcher peeks without taking", () => {
  const watcher = new StopStringWatcher(["END"]);
  watcher.push("xE");
  assert.equal(watcher.peek("ND"), "END");
  assert.equal(watcher.peek("x"), undefined);
  assert.equal(watcher.found, undefined);
  assert.equal(watcher.push("ND") + watcher.push("more"), "");
  assert.equal(watcher.found, "END");
  assert.equal(watcher.peek(""), "END");
});
