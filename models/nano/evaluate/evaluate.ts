// Answers the held-out set with this runtime, greedily, prints how right the
// answers are, and compares them with those of Transformers where given.
//
//   deno run -A models/nano/evaluate/evaluate.ts MODEL HELD_OUT answers.json [transformers.json]
//
// The environment variable DTYPE sets the weights' type (f32 unless told).
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import {
  AutoProcessor,
  type DtypeOption,
  Gemma3nForConditionalGeneration,
  type Gemma3nProcessor,
} from "../../../mod.ts";
import {
  type Answer,
  type Case,
  compareAnswers,
  scoreAnswers,
} from "./score.ts";

const NEW_TOKENS = 40;

async function readJson<T>(path: string): Promise<T> {
  return JSON.parse(await readFile(path, "utf8"));
}

function messagesOf(one: Case, folder: string) {
  const media = [
    ...one.images.map((name) => ({
      type: "image" as const,
      image: join(folder, name),
    })),
    ...(one.audio === null
      ? []
      : [{ type: "audio" as const, audio: join(folder, one.audio) }]),
  ];
  const turns = one.turns.map((text, i) => ({
    role: i % 2 === 0 ? "user" as const : "assistant" as const,
    content: [...(i === 0 ? media : []), { type: "text" as const, text }],
  }));
  if (one.system === null) return turns;
  const content = [{ type: "text" as const, text: one.system }];
  return [{ role: "system" as const, content }, ...turns];
}

async function answer(
  model: Gemma3nForConditionalGeneration,
  processor: Gemma3nProcessor,
  one: Case,
  folder: string,
): Promise<Answer> {
  const inputs = await processor.applyChatTemplate(messagesOf(one, folder), {
    addGenerationPrompt: true,
  });
  const { sequences } = await model.generate({
    ...inputs,
    maxNewTokens: NEW_TOKENS,
    doSample: false,
  });
  const ids = [...sequences[0]!.slice(inputs.inputIds.shape[1])];
  const text = processor.decode(ids, { skipSpecialTokens: true });
  return { id: one.id, text, ids };
}

function report(cases: readonly Case[], answers: readonly Answer[]): void {
  for (const score of scoreAnswers(cases, answers)) {
    const errors = score.wordErrors;
    console.log(
      score.task.padEnd(28),
      score.language,
      String(score.cases).padStart(4),
      `${(100 * score.right).toFixed(1)} %`.padStart(8),
      errors === undefined ? "" : `word errors ${(100 * errors).toFixed(1)} %`,
    );
  }
}

async function main(
  [source, folder, out, other]: readonly string[],
): Promise<void> {
  if (source === undefined || folder === undefined || out === undefined) {
    throw new Error(
      "Give a model, the held-out set and a file for the answers",
    );
  }
  const cases = await readJson<Case[]>(join(folder, "cases.json"));
  const processor = await AutoProcessor.fromPretrained(source);
  await using model = await Gemma3nForConditionalGeneration.fromPretrained(
    source,
    { device: "wasm", dtype: (process.env["DTYPE"] ?? "f32") as DtypeOption },
  );
  const answers: Answer[] = [];
  for (const one of cases) {
    answers.push(await answer(model, processor, one, folder));
    if (answers.length % 100 === 0) console.log(answers.length);
  }
  await writeFile(out, JSON.stringify(answers));
  report(cases, answers);
  if (other === undefined) return;
  const theirs = await readJson<Answer[]>(other);
  const { same, different } = compareAnswers(answers, theirs);
  console.log(`Same ids as Transformers: ${(100 * same).toFixed(2)} %`);
  for (const id of different) {
    const gaps = theirs.find((one) => one.id === id)?.gaps ?? [];
    console.log(`  case ${id}: smallest gap ${Math.min(...gaps)}`);
  }
}

await main(process.argv.slice(2));
