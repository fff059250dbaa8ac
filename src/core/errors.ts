// Error classes by who must act. Messages name the action first, quote names,
// give what was found and what was wanted, then the remedy, without a final
// period.

/** Options of {@link CheckpointError}. */
export interface CheckpointErrorOptions extends ErrorOptions {
  /** Name of the offending tensor, as spelled in the file. */
  tensor?: string;
  /** Name of the offending file. */
  file?: string;
}

/**
 * A checkpoint is damaged or does not hold what its config promises: the file
 * must be replaced.
 *
 * @example
 * ```ts
 * import { CheckpointError } from "@g3n/core";
 *
 * const error = new CheckpointError("Cannot read the header", { file: "model.safetensors" });
 * console.log(error.file); // "model.safetensors"
 * ```
 */
export class CheckpointError extends Error {
  /** The name of the class, also across realms. */
  override readonly name = "CheckpointError";
  /** Name of the offending tensor, when one is to blame. */
  readonly tensor: string | undefined;
  /** Name of the offending file, when it is known. */
  readonly file: string | undefined;

  /** Creates the error; `options` say which tensor or file is to blame. */
  constructor(message: string, options: CheckpointErrorOptions = {}) {
    super(message, options);
    this.tensor = options.tensor;
    this.file = options.file;
  }
}

/**
 * A feature, format or option that this library does not have.
 *
 * @example
 * ```ts
 * import { UnsupportedError } from "@g3n/core";
 *
 * const error = new UnsupportedError('Cannot use the activation "swish9"');
 * console.log(error.name); // "UnsupportedError"
 * ```
 */
export class UnsupportedError extends Error {
  /** The name of the class, also across realms. */
  override readonly name = "UnsupportedError";
}

/**
 * The caller passed something that cannot be used.
 *
 * @example
 * ```ts
 * import { InputError } from "@g3n/core";
 *
 * const error = new InputError("Cannot decode the image: it has 0 bytes");
 * console.log(error instanceof Error); // true
 * ```
 */
export class InputError extends Error {
  /** The name of the class, also across realms. */
  override readonly name = "InputError";
}

/** Options of {@link ContextLengthError}. */
export interface ContextLengthErrorOptions extends ErrorOptions {
  /** Tokens the call needs. */
  requested: number;
  /** Tokens there is room for. */
  available: number;
}

/**
 * A sequence does not fit into the context the model was loaded with.
 *
 * @example
 * ```ts
 * import { ContextLengthError } from "@g3n/core";
 *
 * const error = new ContextLengthError("Cannot extend the sequence", { requested: 5000, available: 4096 });
 * console.log(error.requested - error.available); // 904
 * ```
 */
export class ContextLengthError extends Error {
  /** The name of the class, also across realms. */
  override readonly name = "ContextLengthError";
  /** Tokens the call needs. */
  readonly requested: number;
  /** Tokens there is room for. */
  readonly available: number;

  /** Creates the error; `options` give both lengths in tokens. */
  constructor(message: string, options: ContextLengthErrorOptions) {
    super(message, options);
    this.requested = options.requested;
    this.available = options.available;
  }
}

/**
 * The machine cannot do what was asked: not enough memory, no such device.
 *
 * @example
 * ```ts
 * import { DeviceError } from "@g3n/core";
 *
 * const error = new DeviceError("Cannot reserve 5 GB of WebAssembly memory");
 * console.log(error.name); // "DeviceError"
 * ```
 */
export class DeviceError extends Error {
  /** The name of the class, also across realms. */
  override readonly name = "DeviceError";
}

/** Options of {@link HubError}. */
export interface HubErrorOptions extends ErrorOptions {
  /** The address that failed. */
  url?: string;
  /** The HTTP status, when the server answered. */
  status?: number;
}

/**
 * A file cannot be had from the network or the hub.
 *
 * @example
 * ```ts
 * import { HubError } from "@g3n/core";
 *
 * const error = new HubError("Cannot fetch config.json: 401", { status: 401 });
 * console.log(error.status); // 401
 * ```
 */
export class HubError extends Error {
  /** The name of the class, also across realms. */
  override readonly name = "HubError";
  /** The address that failed, when it is known. */
  readonly url: string | undefined;
  /** The HTTP status, when the server answered. */
  readonly status: number | undefined;

  /** Creates the error; `options` say which address failed and how. */
  constructor(message: string, options: HubErrorOptions = {}) {
    super(message, options);
    this.url = options.url;
    this.status = options.status;
  }
}
