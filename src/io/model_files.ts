// The files of a model, wherever they are: what loaders of checkpoints,
// configurations and tokenizers receive. src/hub resolves sources to it.
import { CheckpointError } from "../core/errors.ts";
import type { ByteSource } from "./byte_source.ts";
import { decodeUtf8 } from "../core/json.ts";

/** Files of one model, opened by name. */
export interface ModelFiles {
  /**
   * Opens a file; the caller closes it.
   *
   * @param name Path below the model's folder, with `/`, e.g. `config.json`.
   * @returns The file, or `undefined` when the model has none of that name.
   * @throws {HubError} When the network or the server fails.
   * @throws {CheckpointError} When the name leads out of the folder.
   */
  open(name: string): Promise<ByteSource | undefined>;
  /**
   * Reads a whole text file (UTF-8).
   *
   * @returns The text, or `undefined` when the model has no such file.
   */
  readText(name: string): Promise<string | undefined>;
  /** Where the files are, for messages: a path, an address or a hub id. */
  describe(): string;
  /** Name of the GGUF file that holds the weights, where the source names one. */
  readonly gguf?: string | undefined;
}

/** Most bytes a text file may have: a guard against reading weights as text. */
const MAX_TEXT_BYTES = 256 * 1024 * 1024;

/**
 * Makes {@link ModelFiles} from a way to open one file, adding the check of
 * names and the reading of texts.
 */
export function modelFiles(
  description: string,
  open: (name: string) => Promise<ByteSource | undefined>,
): ModelFiles {
  const openChecked = async (name: string) => {
    checkFileName(name, description);
    return await open(name);
  };
  return {
    open: openChecked,
    async readText(name) {
      const source = await openChecked(name);
      if (source === undefined) return undefined;
      try {
        return await readTextSource(source);
      } finally {
        await source.close();
      }
    },
    describe: () => description,
  };
}

async function readTextSource(source: ByteSource): Promise<string> {
  if (source.size > MAX_TEXT_BYTES) {
    throw new CheckpointError(
      `Cannot read "${source.name}" as text: it has ${source.size} bytes, at most ${MAX_TEXT_BYTES} are taken`,
      { file: source.name },
    );
  }
  return decodeUtf8(await source.read(0, source.size), source.name);
}

/** Names come from files too (the index of shards), so none may lead elsewhere. */
function checkFileName(name: string, description: string): void {
  const parts = name.split("/");
  if (
    /[\\:?#\0]/.test(name) ||
    parts.some((part) => part === "" || part === "." || part === "..")
  ) {
    throw new CheckpointError(
      `Cannot open "${name}" of ${description}: a file name must lead to a place below the model's folder`,
      { file: name },
    );
  }
}
