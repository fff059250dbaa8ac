// How long a sequence may become.
import { ContextLengthError, InputError } from "../core/errors.ts";
import type {
  ResolvedGenerationConfig,
  WarningSink,
} from "./generation_config.ts";

const DEFAULT_NEW_TOKENS = 20;

/**
 * Most ids a sequence may come to have, prompt included.
 *
 * @throws {ContextLengthError} When a length that was asked for exceeds the context.
 * @throws {InputError} When `maxLength` leaves no room for a new token.
 */
export function resolveMaxLength(
  config: ResolvedGenerationConfig,
  promptLength: number,
  contextLength: number,
): number {
  const { maxNewTokens, maxLength } = config;
  if (maxNewTokens === undefined && maxLength !== undefined) {
    if (maxLength <= promptLength) {
      throw new InputError(
        `Cannot generate up to \`maxLength\` ${maxLength}: the prompt has ${promptLength} tokens; raise it or set \`maxNewTokens\``,
      );
    }
  }
  const asked = maxNewTokens !== undefined
    ? promptLength + maxNewTokens
    : maxLength;
  const wanted = asked ??
    Math.max(
      promptLength + 1,
      Math.min(promptLength + DEFAULT_NEW_TOKENS, contextLength),
    );
  if (wanted > contextLength) {
    throw new ContextLengthError(
      `Cannot generate ${
        wanted - promptLength
      } tokens after a prompt of ${promptLength}: the context holds ${contextLength}; lower \`maxNewTokens\` or load the model with a larger \`contextLength\``,
      { requested: wanted, available: contextLength },
    );
  }
  return wanted;
}

/** Warns when nothing limits the length. */
export function warnOfDefaultLength(
  config: ResolvedGenerationConfig,
  onWarning: WarningSink,
): void {
  if (config.maxNewTokens !== undefined || config.maxLength !== undefined) {
    return;
  }
  onWarning(
    `At most ${DEFAULT_NEW_TOKENS} tokens are generated, as neither \`maxNewTokens\` nor \`maxLength\` is set; set \`maxNewTokens\``,
  );
}
