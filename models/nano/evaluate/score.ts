// How right answers are: a share of right ones, or words that are wrong.

/** One question of the held-out set. */
export interface Case {
  readonly id: number;
  readonly task: string;
  readonly language: "en" | "ko";
  readonly system: string | null;
  /** The user's and the model's texts in order, the user's last. */
  readonly turns: readonly string[];
  readonly images: readonly string[];
  readonly audio: string | null;
  /** Right answers; the first is what training teaches. */
  readonly accepted: readonly string[];
}

/** An answer to the case of the same id. */
export interface Answer {
  readonly id: number;
  readonly text: string;
  readonly ids: readonly number[];
  /** Best logit minus second best, for each id, where known. */
  readonly gaps?: readonly number[];
}

/** A task in one language. */
export interface Score {
  readonly task: string;
  readonly language: string;
  readonly cases: number;
  /** Share of right answers, 0 to 1. */
  readonly right: number;
  /** Wrong words by words, of transcriptions. */
  readonly wordErrors: number | undefined;
}

/** The text without its article, capitals and marks. */
export function normalized(text: string): string {
  return text.toLowerCase().replace(/[.,?!'"]/g, "").replace(/\s+/g, " ")
    .trim().replace(/^(a|an|the) /, "");
}

/** Whether an answer is one of those that are right. */
export function isRight(accepted: readonly string[], text: string): boolean {
  const found = normalized(text);
  return accepted.some((answer) => normalized(answer) === found);
}

/** Words to insert, delete and replace to make one text of the other. */
export function wordDistance(wanted: string, found: string): number {
  const a = words(wanted);
  const b = words(found);
  let row = b.map((_, i) => i + 1);
  for (const [i, word] of a.entries()) {
    let diagonal = i;
    let left = i + 1;
    row = row.map((above, j) => {
      const cost = diagonal + (word === b[j] ? 0 : 1);
      diagonal = above;
      left = Math.min(cost, above + 1, left + 1);
      return left;
    });
  }
  return row.at(-1) ?? a.length;
}

/** Words of a text, as they are compared. */
export function words(text: string): string[] {
  return normalized(text).split(" ").filter((word) => word !== "");
}

/** Scores of all tasks, each in each of its languages. */
export function scoreAnswers(
  cases: readonly Case[],
  answers: readonly Answer[],
): Score[] {
  const texts = new Map(answers.map(({ id, text }) => [id, text]));
  const groups = new Map<string, Case[]>();
  for (const one of cases) {
    if (!texts.has(one.id)) continue;
    const key = `${one.task}|${one.language}`;
    groups.set(key, [...groups.get(key) ?? [], one]);
  }
  return [...groups.values()].map((group) => scoreGroup(group, texts));
}

function scoreGroup(
  group: readonly Case[],
  texts: ReadonlyMap<number, string>,
): Score {
  const { task, language } = group[0]!;
  let right = 0;
  let errors = 0;
  let length = 0;
  for (const { id, accepted } of group) {
    const text = texts.get(id)!;
    if (isRight(accepted, text)) right++;
    errors += wordDistance(accepted[0]!, text);
    length += words(accepted[0]!).length;
  }
  return {
    task,
    language,
    cases: group.length,
    right: right / group.length,
    wordErrors: task === "transcription" ? errors / length : undefined,
  };
}

/** Share of answers with the same ids, and the ids of the cases that differ. */
export function compareAnswers(
  first: readonly Answer[],
  second: readonly Answer[],
): { same: number; different: number[] } {
  const others = new Map(second.map((answer) => [answer.id, answer]));
  const shared = first.filter(({ id }) => others.has(id));
  const different = shared.filter(({ id, ids }) =>
    ids.join() !== others.get(id)!.ids.join()
  );
  return {
    same: 1 - different.length / Math.max(1, shared.length),
    different: different.map(({ id }) => id),
  };
}
