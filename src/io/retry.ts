// A fetch that asks again when the network or the server is in trouble.
import { HubError } from "../core/errors.ts";

/** Options of {@link retryingFetch}. */
export interface RetryOptions {
  readonly fetch: typeof globalThis.fetch;
  /** Stops requests and waits; they reject with its reason. */
  readonly signal?: AbortSignal | undefined;
  /** Wait before the first repetition; doubles each time. Default 250. */
  readonly retryDelayMs?: number | undefined;
}

const ATTEMPTS = 4;

/**
 * Wraps `fetch`: network errors, 429 and 5xx are repeated three times with
 * growing waits. The last answer is returned whatever its status.
 *
 * @returns A fetch that throws {@link HubError} when the server cannot be
 * reached.
 */
export function retryingFetch(options: RetryOptions): typeof globalThis.fetch {
  const { fetch, signal, retryDelayMs = 250 } = options;
  return async (input, init) => {
    for (let attempt = 1;; attempt++) {
      signal?.throwIfAborted();
      try {
        const response = await fetch(input, {
          ...init,
          ...(signal && { signal }),
        });
        const busy = response.status === 429 || response.status >= 500;
        if (!busy || attempt === ATTEMPTS) return response;
        await response.body?.cancel();
      } catch (cause) {
        signal?.throwIfAborted();
        if (attempt === ATTEMPTS) throw unreachable(input, cause);
      }
      const delayMs = retryDelayMs * 2 ** (attempt - 1);
      await new Promise((resolve) => setTimeout(resolve, delayMs));
    }
  };
}

function unreachable(input: Request | URL | string, cause: unknown): HubError {
  const url = input instanceof Request ? input.url : String(input);
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new HubError(
    `Cannot reach "${url}": ${reason}; check the address and the connection`,
    { url, cause },
  );
}
