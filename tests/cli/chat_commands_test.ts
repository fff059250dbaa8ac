// Lines of a chat.
import assert from "node:assert/strict";
import { test } from "node:test";

import { CHAT_HELP, parseChatLine } from "../../src/cli/chat_commands.ts";

test("parseChatLine() tells messages from commands", () => {
  const message = (text: string) => ({ kind: "message", text });
  assert.deepEqual(parseChatLine("Hi /image"), message("Hi /image"));
  assert.deepEqual(parseChatLine("//usr/bin"), message("/usr/bin"));
  assert.deepEqual(parseChatLine(" /image x"), message(" /image x"));
  assert.deepEqual(parseChatLine("/image  my cat.png "), {
    kind: "image",
    argument: "my cat.png",
  });
  assert.deepEqual(parseChatLine("/system two\nlines"), {
    kind: "system",
    argument: "two\nlines",
  });
  assert.deepEqual(parseChatLine("/system"), { kind: "system", argument: "" });
  assert.deepEqual(parseChatLine("/exit "), { kind: "exit" });
});

test("parseChatLine() says what is wrong with a command", () => {
  for (const line of ["/", "/images x", "/audio", "/exit now", "/Help"]) {
    assert.equal(parseChatLine(line).kind, "wrong", line);
  }
});

test("the help of the chat names every command", () => {
  for (const name of ["image", "audio", "system", "reset", "help", "exit"]) {
    assert.ok(CHAT_HELP.includes(`/${name}`), name);
    assert.notEqual(parseChatLine(`/${name}`).kind, "message");
  }
});
