// Model files of a repository on the Hugging Face hub.
import { HubError, InputError } from "../core/errors.ts";
import { httpSource } from "../io/http_source.ts";
import { type ModelFiles, modelFiles } from "../io/model_files.ts";
import { retryingFetch } from "../io/retry.ts";
import type { Platform } from "../platform/platform.ts";

/** How to reach the hub. */
export interface HubOptions {
  /** Access token (`hf_...`); default the environment's HF_TOKEN. */
  readonly token?: string | undefined;
  /** Branch, tag or commit. Default `main`. */
  readonly revision?: string | undefined;
  /** Address of the hub; default the environment's HF_ENDPOINT, else https://huggingface.co. */
  readonly hubUrl?: string | undefined;
  /** Stops requests; they reject with its reason. */
  readonly signal?: AbortSignal | undefined;
  /** Wait before the first repetition of a failed request; doubles each time. Default 250. */
  readonly retryDelayMs?: number | undefined;
}

/**
 * The files of a model repository. All come from one commit: the first answer
 * tells which one the revision means, later requests name it.
 *
 * @param id `org/name`.
 * @throws {InputError} When the token is not one of the hub.
 */
export function hubFiles(
  id: string,
  platform: Platform,
  options: HubOptions = {},
): ModelFiles {
  const { signal, retryDelayMs } = options;
  const hubUrl = options.hubUrl ?? platform.env("HF_ENDPOINT") ??
    "https://huggingface.co";
  const token = readToken(options.token ?? platform.env("HF_TOKEN"));
  const fetch = retryingFetch({ fetch: platform.fetch, signal, retryDelayMs });
  const remedy = (status: number) => statusRemedy(status, hubUrl, id);
  const headers = token === undefined
    ? {}
    : { Authorization: `Bearer ${token}` };
  let revision = options.revision ?? "main";

  const fetchInfo: typeof fetch = async (input, init) => {
    const response = await fetch(input, init);
    if (response.ok) {
      revision = response.headers.get("X-Repo-Commit") ?? revision;
    }
    return response;
  };
  return modelFiles(`${id} at ${hubUrl}`, async (path) => {
    const { fileDownloadInfo, HubApiError } = await import("@huggingface/hub");
    try {
      const info = await fileDownloadInfo({
        repo: { type: "model", name: id },
        path,
        revision,
        hubUrl,
        fetch: fetchInfo,
        ...(token !== undefined && { accessToken: token }),
      });
      if (info === null) return undefined;
      const http = { fetch: platform.fetch, headers, signal, retryDelayMs };
      return httpSource(info.url, info.size, { ...http, remedy });
    } catch (cause) {
      signal?.throwIfAborted();
      if (cause instanceof HubError) throw cause;
      const status = cause instanceof HubApiError
        ? cause.statusCode
        : undefined;
      throw hubError(path, id, hubUrl, status, cause);
    }
  });
}

function hubError(
  path: string,
  id: string,
  hubUrl: string,
  status: number | undefined,
  cause: unknown,
): HubError {
  const reason = status === undefined
    ? cause instanceof Error ? cause.message : String(cause)
    : `the hub answers ${status}`;
  const remedy = status === undefined
    ? undefined
    : statusRemedy(status, hubUrl, id);
  return new HubError(
    `Cannot fetch "${path}" of "${id}": ${reason}` +
      (remedy === undefined ? "" : `; ${remedy}`),
    { url: `${hubUrl}/${id}`, cause, ...(status !== undefined && { status }) },
  );
}

function statusRemedy(
  status: number,
  hubUrl: string,
  id: string,
): string | undefined {
  if (status === 401 || status === 403) {
    return `accept the licence at ${hubUrl}/${id}, and set HF_TOKEN to a token that may read it ` +
      "(the hub answers so for names that do not exist, too)";
  }
  if (status === 404) {
    return "check the name of the repository and the revision";
  }
  if (status === 429) return "wait a while, or set HF_TOKEN for a higher limit";
  return undefined;
}

function readToken(token: string | undefined): string | undefined {
  if (token === undefined || token === "") return undefined;
  if (!token.startsWith("hf_")) {
    throw new InputError(
      'Cannot use the access token: it must start with "hf_"; check the option "token" and HF_TOKEN',
    );
  }
  return token;
}
