import assert from "node:assert/strict";
import { test } from "node:test";
import { CheckpointError, InputError } from "../../src/core/errors.ts";
import {
  ChatTemplate,
  findChatTemplate,
} from "../../src/processing/chat_template.ts";
import type { TemplateMessage } from "../../src/processing/messages.ts";
import { referenceText } from "../golden.ts";

const SPECIAL_TOKENS = { bos_token: "<bos>", eos_token: "<eos>" };
const source = await referenceText("tiny/chat_template.jinja");
const template = new ChatTemplate(source, SPECIAL_TOKENS);

const user = (content: TemplateMessage["content"]): TemplateMessage => ({
  role: "user",
  content,
});
const assistant = (content: TemplateMessage["content"]): TemplateMessage => ({
  role: "assistant",
  content,
});

// The prompts of these tests come from Transformers 5.17.

test("render() writes turns and trims texts", () => {
  const messages = [
    user("a"),
    assistant("b"),
    user([{ type: "text", text: " c " }, { type: "text", text: " d" }]),
  ];
  assert.equal(
    template.render(messages, { addGenerationPrompt: true }),
    "<bos><start_of_turn>user\na<end_of_turn>\n<start_of_turn>model\nb<end_of_turn>\n<start_of_turn>user\ncd<end_of_turn>\n<start_of_turn>model\n",
  );
});

test("render() puts one placeholder per medium", () => {
  const messages = [
    user([{ type: "image" }, { type: "text", text: "x" }, { type: "audio" }]),
  ];
  assert.equal(
    template.render(messages),
    "<bos><start_of_turn>user\n<image_soft_token>x<audio_soft_token><end_of_turn>\n",
  );
});

test("render() keeps byte order marks, which Python does not trim", () => {
  assert.equal(
    template.render([user("  \ufeffhi\ufeff  ")]),
    "<bos><start_of_turn>user\n\ufeffhi\ufeff<end_of_turn>\n",
  );
  assert.equal(
    template.render([user([{ type: "text", text: "\ufeff" }])]),
    "<bos><start_of_turn>user\n\ufeff<end_of_turn>\n",
  );
});

test("render() gives the template's own message when it raises", () => {
  assert.throws(() => template.render([assistant("x")]), (error: unknown) => {
    assert.ok(error instanceof InputError);
    assert.match(error.message, /Conversation roles must alternate/);
    return true;
  });
});

test("render() refuses what the template cannot use", () => {
  const system = { role: "system", content: [{ type: "image" }] };
  assert.throws(() => template.render([system, user("hi")]), InputError);
});

test("render() leaves the final message open", () => {
  const options = { continueFinalMessage: true };
  const prompt =
    "<bos><start_of_turn>user\nq<end_of_turn>\n<start_of_turn>model\n";
  assert.equal(
    template.render([user("q"), assistant("The answer is ")], options),
    prompt + "The answer is",
  );
  const parts = ["a", "The answer is"].map((text) => ({ type: "text", text }));
  assert.equal(
    template.render([user("q"), assistant(parts)], options),
    prompt + "aThe answer is",
  );
});

test("render() refuses final messages that cannot be continued", () => {
  const options = { continueFinalMessage: true };
  assert.throws(
    () => template.render([user([{ type: "image" }])], options),
    InputError,
  );
  assert.throws(
    () => template.render([{ role: "system", content: "s" }], options),
    InputError,
  );
  assert.throws(
    () =>
      template.render([user("q")], { ...options, addGenerationPrompt: true }),
    InputError,
  );
});

test("render() passes tools and variables", () => {
  const made = new ChatTemplate(
    "{{ eos_token }}{% if tools %}{{ tools[0].name }}{% endif %}{{ mood }}",
    SPECIAL_TOKENS,
  );
  assert.equal(made.render([user("q")]), "<eos>");
  assert.equal(
    made.render([user("q")], {
      tools: [{ name: "add" }],
      variables: { mood: "!", eos_token: "E" },
    }),
    "Eadd!",
  );
});

test("a template that cannot be parsed is a CheckpointError", () => {
  assert.throws(
    () => new ChatTemplate("{% if %}", SPECIAL_TOKENS),
    CheckpointError,
  );
});

test("findChatTemplate() looks into every file that may have it", () => {
  const named = [{ name: "tool", template: "t" }, {
    name: "default",
    template: "d",
  }];
  assert.equal(findChatTemplate({ jinja: "j", json: named }), "j");
  assert.equal(
    findChatTemplate({
      json: { chat_template: "a" },
      tokenizerConfig: { chat_template: "b" },
    }),
    "a",
  );
  assert.equal(
    findChatTemplate({ json: {}, tokenizerConfig: { chat_template: named } }),
    "d",
  );
  assert.equal(
    findChatTemplate({ json: { chat_template: { default: "d" } } }),
    "d",
  );
  assert.equal(findChatTemplate({ json: { chat_template: {} } }), undefined);
  assert.equal(findChatTemplate({}), undefined);
});
