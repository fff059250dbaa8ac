// What each generation option may be, and messages for what it may not.
import { InputError } from "../core/errors.ts";
import { MAX_SEED } from "../core/random.ts";
import type { GenerationConfig } from "./generation_config.ts";

/** What an option may be. */
export interface OptionCheck {
  /** What is wanted, for the message. */
  readonly wanted: string;
  /** Whether a value is that. */
  readonly accepts: (value: unknown) => boolean;
}

function integer(min: number, max = Number.MAX_SAFE_INTEGER): OptionCheck {
  return {
    wanted: max === Number.MAX_SAFE_INTEGER
      ? `an integer from ${min}`
      : `an integer from ${min} to ${max}`,
    accepts: (value) =>
      Number.isSafeInteger(value) && Number(value) >= min &&
      Number(value) <= max,
  };
}

function real(
  wanted: string,
  accepts: (value: number) => boolean,
): OptionCheck {
  return {
    wanted,
    accepts: (value) =>
      typeof value === "number" && Number.isFinite(value) && accepts(value),
  };
}

const isId = (value: unknown): boolean =>
  Number.isSafeInteger(value) && Number(value) >= 0;
const isIds = (value: unknown): boolean =>
  Array.isArray(value) && value.every(isId);
const isWord = (value: unknown): boolean =>
  isIds(value) && (value as unknown[]).length > 0;
// -Infinity forbids; +Infinity would turn a forbidden id into NaN.
const isBias = (value: unknown): boolean =>
  typeof value === "number" && value < Infinity;
const isStopString = (value: unknown): boolean =>
  typeof value === "string" && value.length > 0;

const boolean: OptionCheck = {
  wanted: "true or false",
  accepts: (value) => typeof value === "boolean",
};
// Smaller temperatures vanish in float32.
const temperature = real(
  "a number above 0; for the likeliest token set `doSample` to false",
  (value) => Math.fround(value) > 0,
);
const probability = real(
  "a number from 0 to 1",
  (value) => value >= 0 && value <= 1,
);
const finite = real("a finite number", () => true);

/** The check of each option; its keys are the options there are. */
export const OPTION_CHECKS: Readonly<
  Record<keyof GenerationConfig, OptionCheck>
> = {
  maxNewTokens: integer(1),
  maxLength: integer(1),
  minNewTokens: integer(0),
  eosTokenId: {
    wanted: "a token id or an array of token ids",
    accepts: (value) => isId(value) || isIds(value),
  },
  stopStrings: {
    wanted: "a text or an array of texts, none of them empty",
    accepts: (value) =>
      isStopString(value) ||
      (Array.isArray(value) && value.every(isStopString)),
  },
  doSample: boolean,
  seed: integer(0, MAX_SEED),
  temperature,
  topK: integer(0),
  topP: probability,
  minP: probability,
  repetitionPenalty: real(
    "a number above 0",
    (value) => Math.fround(value) > 0,
  ),
  presencePenalty: finite,
  frequencyPenalty: finite,
  noRepeatNgramSize: integer(0),
  logitBias: {
    wanted: "an object of numbers by token id",
    accepts: (value) =>
      typeof value === "object" && value !== null &&
      Object.entries(value).every(([id, bias]) =>
        /^\d+$/.test(id) && isBias(bias)
      ),
  },
  sequenceBias: {
    wanted: "an array of pairs [ids, bias], no array of ids being empty",
    accepts: (value) =>
      Array.isArray(value) &&
      value.every((pair) =>
        Array.isArray(pair) && pair.length === 2 && isWord(pair[0]) &&
        isBias(pair[1])
      ),
  },
  badWordsIds: {
    wanted: "an array of arrays of token ids, none of them empty",
    accepts: (value) => Array.isArray(value) && value.every(isWord),
  },
  suppressTokens: { wanted: "an array of token ids", accepts: isIds },
  numReturnSequences: integer(1),
  outputLogits: boolean,
  outputScores: boolean,
  logprobs: integer(0),
};

/** Options of Transformers that change the result and do not exist here, with the values that change nothing. */
export const UNSUPPORTED_OPTIONS: Readonly<
  Record<string, readonly unknown[]>
> = {
  numBeams: [1],
  minLength: [0],
  maxTime: [],
  topH: [],
  typicalP: [1],
  epsilonCutoff: [0],
  etaCutoff: [0],
  guidanceScale: [1],
  forcedBosTokenId: [],
  forcedEosTokenId: [],
  beginSuppressTokens: [],
  exponentialDecayLengthPenalty: [],
  watermarkingConfig: [],
  penaltyAlpha: [0],
  dolaLayers: [],
};

/**
 * Checks the value of an option.
 *
 * @throws {InputError} When it has the wrong type or is out of range.
 */
export function checkOption(name: string, value: unknown): void {
  const check = OPTION_CHECKS[name as keyof GenerationConfig];
  if (check.accepts(value)) return;
  throw new InputError(
    `Cannot generate with the option "${name}" ${
      describe(value)
    }: it must be ${check.wanted}`,
  );
}

function describe(value: unknown): string {
  if (typeof value === "number") return String(value); // JSON has no NaN
  const text = JSON.stringify(value) ?? typeof value;
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}

/** The name with the fewest edits from `name`. */
export function nearestName(name: string, known: readonly string[]): string {
  const distances = known.map((other) =>
    editDistance(name.toLowerCase(), other.toLowerCase())
  );
  return known[distances.indexOf(Math.min(...distances))] ?? "";
}

/** Levenshtein distance. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, row[j]! + 1, next[j - 1]! + 1));
    }
    row = next;
  }
  return row[b.length]!;
}
