// Typed reads of fields from parsed JSON (config.json and its companions),
// with defaults, ranges and messages that name the field.
import { CheckpointError } from "./errors.ts";
import {
  describeJson,
  isJsonObject,
  type Json,
  type JsonObject,
} from "./json.ts";

/** Bounds of a number field. */
export interface NumberRange {
  /** Smallest allowed value. */
  readonly min?: number;
  /** Largest allowed value. */
  readonly max?: number;
}

/** A JSON object with a place name, read field by field. */
export class JsonFields {
  readonly #object: JsonObject;
  /** Where the object stands, for messages: `config.json` or `config.json: text_config`. */
  readonly where: string;

  /** Wraps a JSON object found at `where`. */
  constructor(object: JsonObject, where: string) {
    this.#object = object;
    this.where = where;
  }

  /** The value as parsed; `undefined` when absent or null. */
  get(key: string): Json | undefined {
    return this.#object[key] ?? undefined;
  }

  /** Whether the field is present and not null. */
  has(key: string): boolean {
    return this.get(key) !== undefined;
  }

  /** A nested object, or an empty one when absent. */
  object(key: string): JsonFields {
    const value = this.get(key) ?? {};
    if (!isJsonObject(value)) throw this.#error(key, value, "an object");
    return new JsonFields(value, `${this.where}: ${key}`);
  }

  /** An integer; at least 0 unless `range` says otherwise. */
  integer(key: string, fallback?: number, range: NumberRange = {}): number {
    return this.#checkInteger(key, this.#required(key, fallback), range);
  }

  /** A finite number. */
  number(key: string, fallback?: number, range: NumberRange = {}): number {
    const value = this.#required(key, fallback);
    return this.#checkNumber(key, value, range);
  }

  /** A boolean. */
  boolean(key: string, fallback?: boolean): boolean {
    const value = this.#required(key, fallback);
    if (typeof value !== "boolean") throw this.#error(key, value, "a boolean");
    return value;
  }

  /** A string. */
  string(key: string, fallback?: string): string {
    const value = this.#required(key, fallback);
    if (typeof value !== "string") throw this.#error(key, value, "a string");
    return value;
  }

  /** A list of `length` items, each checked by `item`. */
  list<T>(
    key: string,
    item: (value: Json, label: string) => T,
    length?: number,
  ): T[] {
    const value = this.#required(key, undefined);
    if (!Array.isArray(value)) throw this.#error(key, value, "a list");
    if (length !== undefined && value.length !== length) {
      throw new CheckpointError(
        `Cannot use ${this.where}: "${key}" has ${value.length} items, ${length} are needed`,
      );
    }
    return value.map((v, i) => item(v as Json, `${key}[${i}]`));
  }

  /** A list of integers, each at least `range.min` (0 by default). */
  integers(key: string, length?: number, range: NumberRange = {}): number[] {
    return this.list(
      key,
      (v, label) => this.#checkInteger(label, v, range),
      length,
    );
  }

  /** A list of finite numbers. */
  numbers(key: string, length?: number, range: NumberRange = {}): number[] {
    return this.list(
      key,
      (v, label) => this.#checkNumber(label, v, range),
      length,
    );
  }

  /** A list of strings. */
  strings(key: string, length?: number): string[] {
    return this.list(key, (v, label) => {
      if (typeof v !== "string") throw this.#error(label, v, "a string");
      return v;
    }, length);
  }

  #required(key: string, fallback: Json | undefined): Json {
    const value = this.get(key) ?? fallback;
    if (value === undefined) {
      throw new CheckpointError(
        `Cannot use ${this.where}: "${key}" is missing`,
      );
    }
    return value;
  }

  #checkInteger(key: string, value: Json, range: NumberRange): number {
    if (!Number.isSafeInteger(value)) {
      throw this.#error(key, value, "an integer");
    }
    return this.#checkNumber(key, value, { min: 0, ...range });
  }

  #checkNumber(key: string, value: Json, range: NumberRange): number {
    if (typeof value !== "number" || !Number.isFinite(value)) {
      throw this.#error(key, value, "a number");
    }
    const { min = -Infinity, max = Infinity } = range;
    if (value < min || value > max) {
      const wanted = max === Infinity
        ? `at least ${min}`
        : min === -Infinity
        ? `at most ${max}`
        : `${min} to ${max}`;
      throw this.#error(key, value, `a number of ${wanted}`);
    }
    return value;
  }

  #error(key: string, value: Json, wanted: string): CheckpointError {
    return new CheckpointError(
      `Cannot use ${this.where}: "${key}" is ${
        describeJson(value)
      }, wanted ${wanted}`,
    );
  }
}
