import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type Answer,
  type Case,
  compareAnswers,
  isRight,
  normalized,
  scoreAnswers,
  wordDistance,
} from "../../../models/nano/evaluate/score.ts";

function caseOf(id: number, task: string, accepted: readonly string[]): Case {
  return {
    id,
    task,
    language: "en",
    system: null,
    turns: ["?"],
    images: [],
    audio: null,
    accepted,
  };
}

function answerOf(id: number, text: string, ids: readonly number[]): Answer {
  return { id, text, ids };
}

test("normalized() drops articles, capitals and marks", () => {
  assert.equal(normalized("A cow."), "cow");
  assert.equal(normalized("The  Statue of Liberty!"), "statue of liberty");
  assert.equal(normalized("Answer."), "answer");
  assert.equal(normalized("'크다'입니다."), "크다입니다");
});

test("isRight() takes any of the names and nothing else", () => {
  assert.ok(isRight(["A mouse.", "rat"], "A rat."));
  assert.ok(!isRight(["A mouse.", "rat"], "A rat trap."));
  assert.ok(!isRight(["A mouse."], ""));
});

test("wordDistance() counts words put in, left out and mistaken", () => {
  assert.equal(wordDistance("Go left.", "go left"), 0);
  assert.equal(wordDistance("go left", "go right"), 1);
  assert.equal(wordDistance("go left", "please go left now"), 2);
  assert.equal(wordDistance("turn on the light", "turn light"), 2);
  assert.equal(wordDistance("go left", ""), 2);
  assert.equal(wordDistance("", "go left"), 2);
});

test("scoreAnswers() groups by task and language, over answered cases", () => {
  const cases = [
    caseOf(0, "text", ["Paris."]),
    caseOf(1, "text", ["Rome."]),
    caseOf(2, "text", ["Oslo."]),
    { ...caseOf(3, "text", ["파리입니다."]), language: "ko" as const },
    caseOf(4, "transcription", ["Go left, please."]),
  ];
  const answers = [
    answerOf(0, "Paris.", [1]),
    answerOf(1, "Riga.", [2]),
    answerOf(3, "파리입니다.", [3]),
    answerOf(4, "Go right, please.", [4]),
  ];
  assert.deepEqual(scoreAnswers(cases, answers), [
    {
      task: "text",
      language: "en",
      cases: 2,
      right: 0.5,
      wordErrors: undefined,
    },
    { task: "text", language: "ko", cases: 1, right: 1, wordErrors: undefined },
    {
      task: "transcription",
      language: "en",
      cases: 1,
      right: 0,
      wordErrors: 1 / 3,
    },
  ]);
});

test("compareAnswers() compares ids of the cases that both have", () => {
  const ours = [answerOf(0, "a", [1, 2]), answerOf(1, "b", [3])];
  const theirs = [
    answerOf(1, "b", [3, 4]),
    answerOf(0, "a", [1, 2]),
    answerOf(2, "c", []),
  ];
  assert.deepEqual(compareAnswers(ours, theirs), {
    same: 0.5,
    different: [1],
  });
  assert.deepEqual(compareAnswers([], theirs), { same: 1, different: [] });
});
