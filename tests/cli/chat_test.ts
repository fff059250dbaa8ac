// g3n chat: each answer is what the whole conversation gives, computed anew;
// and what a person can do in it.
import assert from "node:assert/strict";
import { test } from "node:test";

import {
  AutoProcessor,
  type ContentPart,
  Gemma3nForConditionalGeneration,
  type Message,
} from "../../mod.ts";
import type { ChatAnswer } from "../../src/cli/chat_session.ts";
import {
  EXIT_FAILURE,
  EXIT_INTERRUPTED,
  EXIT_OK,
  EXIT_USAGE,
  runCommandLine,
} from "../../src/cli/main.ts";
import { referencePath } from "../golden.ts";
import {
  CTRL_C,
  FakeTerminal,
  type FakeTerminalOptions,
} from "./fake_terminal.ts";
import { expectedCase, g3n, SLOW, SYSTEM, TINY } from "./g3n.ts";

const CAT = referencePath("media/cat.png");
const FLOWER = referencePath("media/flower.jpg");
const SPEECH = referencePath("media/speech-16k.wav");
const CHAT = ["chat", "-m", TINY];

async function chat(
  options: FakeTerminalOptions,
): Promise<FakeTerminal & { readonly code: number }> {
  const terminal = new FakeTerminal(options);
  const code = await runCommandLine(terminal);
  return Object.assign(terminal, { code });
}

function answers(stdout: string): ChatAnswer[] {
  return stdout.trimEnd().split("\n").map((line) => JSON.parse(line));
}

/** Answers of a conversation whose every turn is computed from its start. */
async function answersAnew(
  questions: readonly Message["content"][],
  maxNewTokens: number,
): Promise<string[]> {
  const processor = await AutoProcessor.fromPretrained(TINY);
  await using model = await Gemma3nForConditionalGeneration.fromPretrained(
    TINY,
  );
  const messages: Message[] = [];
  const texts: string[] = [];
  for (const content of questions) {
    messages.push({ role: "user", content });
    const inputs = await processor.applyChatTemplate(messages, {
      addGenerationPrompt: true,
    });
    const { sequences } = await model.generate({ ...inputs, maxNewTokens });
    const ids = sequences[0]!.subarray(inputs.inputIds.shape[1]!);
    texts.push(processor.decode(ids, { skipSpecialTokens: true }));
    messages.push({ role: "assistant", content: texts.at(-1)! });
  }
  return texts;
}

test(
  "g3n chat answers each line of standard input, and prints nothing else",
  SLOW,
  async () => {
    const { text, newTokens } = await expectedCase("chat");
    const { stdout, stderr, code } = await g3n(
      [...CHAT, "-n", String(newTokens), "--system", SYSTEM],
      "Hello, who are you?\n\n/reset\nHello, who are you?",
    );
    assert.equal(stderr, "");
    assert.equal(stdout, `${text}\n${text}\n`);
    assert.equal(code, EXIT_OK);
  },
);

test(
  "g3n chat keeps what was computed, and answers as if it had not",
  SLOW,
  async () => {
    const lines = [
      "Hello, who are you?",
      `/image ${CAT}`,
      "What is \\",
      "in this picture?",
      "Are you sure?",
      `/audio ${SPEECH}`,
      `/image ${FLOWER}`,
      "//and this?",
    ];
    const { stdout, stderr, code } = await chat({
      args: [...CHAT, "-n", "8", "--json"],
      input: lines.join("\n"),
    });
    assert.equal(stderr, "");
    assert.equal(code, EXIT_OK);
    const image = (path: string): ContentPart => ({
      type: "image",
      image: path,
    });
    const text = (content: string): ContentPart => ({
      type: "text",
      text: content,
    });
    const anew = await answersAnew([
      "Hello, who are you?",
      [image(CAT), text("What is \nin this picture?")],
      "Are you sure?",
      [{ type: "audio", audio: SPEECH }, image(FLOWER), text("/and this?")],
    ], 8);
    const told = answers(stdout);
    assert.deepEqual(told.map((one) => one.generatedText), anew);
    assert.equal(told[0]!.cachedTokens, 0);
    told.slice(1).forEach((one, i) => {
      // Of the turn before, all but its answer is always kept.
      assert.ok(one.cachedTokens >= told[i]!.promptTokens, `turn ${i + 1}`);
      assert.ok(one.cachedTokens < one.promptTokens);
    });
  },
);

test(
  "g3n chat starts over when the context is full, and says so",
  SLOW,
  async () => {
    const { stdout, stderr, code } = await chat({
      args: [...CHAT, "-n", "8", "--json", "--context-length", "64"],
      input: "1\n2\n3\n4\n",
    });
    assert.equal(code, EXIT_OK);
    assert.match(
      stderr,
      /^\(The context of 64 tokens is full: [^\n]*\)\n$/,
    );
    const [first, , , fourth] = answers(stdout);
    assert.equal(fourth!.cachedTokens, 0);
    assert.equal(fourth!.promptTokens, first!.promptTokens);
  },
);

test("g3n chat over a pipe ends at the first error", SLOW, async () => {
  const failing: [string, RegExp, number][] = [
    ["/nosuch\nHi", /Cannot run "\/nosuch"/, EXIT_USAGE],
    ["/image\nHi", /write \/image FILE/, EXIT_USAGE],
    ["/reset now\nHi", /\/reset stands alone/, EXIT_USAGE],
    ["/image no/such.png\nHi", /no\/such\.png/, EXIT_FAILURE],
    [`/image ${TINY}/config.json\nHi`, /Cannot decode/, EXIT_FAILURE],
  ];
  for (const [input, message, expected] of failing) {
    const { code, stdout, stderr } = await chat({
      args: [...CHAT, "-n", "2"],
      input,
    });
    assert.equal(code, expected, input);
    assert.match(stderr, message);
    assert.match(stderr, /^g3n: [^\n]*\n$/);
    assert.equal(stdout, "");
  }
});

test(
  "a person sees prompts and notes on standard error, answers on standard output",
  SLOW,
  async () => {
    const { text, newTokens } = await expectedCase("chat");
    const { code, stdout, stderr, questions } = await chat({
      args: [...CHAT, "-n", String(newTokens)],
      prompts: [
        `/system ${SYSTEM}`,
        "/help",
        "/nosuch",
        "",
        "Hello, \\",
        CTRL_C,
        "Hello, who are you?",
        "/exit",
        "never asked",
      ],
    });
    assert.equal(code, EXIT_OK);
    assert.equal(stdout, `${text}\n`);
    assert.match(stderr, /\(starting over\)/);
    assert.match(stderr, /^\/image FILE/m);
    assert.match(stderr, /g3n: Cannot run "\/nosuch"/);
    assert.match(stderr, /\(cut after 16 tokens/);
    assert.deepEqual(questions.map((q) => q.trim()), [
      ...[">", ">", ">", ">", ">", "...", ">", ">"],
    ]);
  },
);

test(
  "Ctrl-C stops an answer, which counts as far as it came; twice at the prompt ends",
  SLOW,
  async () => {
    let pieces = 0;
    const { code, stdout } = await chat({
      args: [...CHAT, "-n", "3000"],
      prompts: ["Hello", "And then?", CTRL_C, "/help", CTRL_C, CTRL_C],
      onWrite: (_, terminal) => {
        pieces++;
        if (pieces === 5 || pieces === 12) terminal.interrupt();
      },
    });
    assert.equal(code, EXIT_INTERRUPTED);
    // Far fewer than were asked for, and each answer has its line end.
    assert.ok(pieces < 60, `${pieces} pieces`);
    assert.match(stdout, /\S.*\n.*\S.*\n$/s);
  },
);
