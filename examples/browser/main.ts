// A question about a picture or a clip, answered inside the page: no file that
// is chosen leaves it.
import { type FileOpener, type Pipeline, pipeline } from "@g3n/core";

const MAX_NEW_TOKENS = 128;

const form = document.querySelector("form")!;
const status = document.querySelector("#status")!;
const output = document.querySelector("#answer")!;
const { model, image, audio, text, ask, stop } = form
  .elements as unknown as Controls;

interface Controls {
  readonly model: HTMLInputElement;
  readonly image: HTMLInputElement;
  readonly audio: HTMLInputElement;
  readonly text: HTMLInputElement;
  readonly ask: HTMLButtonElement;
  readonly stop: HTMLButtonElement;
}

/** The checkpoint in use; another folder replaces it. */
let loaded: Pipeline | undefined;

model.onchange = async () => {
  await loaded?.[Symbol.asyncDispose]();
  loaded = undefined;
};

form.onsubmit = async (event) => {
  event.preventDefault();
  const controller = new AbortController();
  stop.onclick = () => controller.abort();
  ask.disabled = true;
  stop.disabled = false;
  output.textContent = "";
  try {
    loaded ??= await load(model.files!, controller.signal);
    await answer(loaded, controller.signal);
    status.textContent = "";
  } catch (error) {
    status.textContent = error instanceof Error ? error.message : String(error);
  } finally {
    ask.disabled = false;
    stop.disabled = true;
  }
};

function load(files: FileList, signal: AbortSignal): Promise<Pipeline> {
  return pipeline("any-to-any", folder(files), {
    maxBatchSize: 1,
    signal,
    onProgress: ({ loadedBytes, totalBytes }) => {
      const percent = Math.round(100 * loadedBytes / totalBytes);
      status.textContent = `Loading: ${percent} %`;
    },
  });
}

/** Opens the files of a picked folder, whose paths begin with its name. */
function folder(files: FileList): FileOpener {
  const byPath = new Map(
    Array.from(files, (file) => {
      const path = file.webkitRelativePath;
      return [path.slice(path.indexOf("/") + 1), file];
    }),
  );
  return { open: (name) => byPath.get(name) };
}

async function answer(ask: Pipeline, signal: AbortSignal): Promise<void> {
  status.textContent = "Reading";
  const texts = ask.stream({
    text: text.value,
    images: [...image.files!],
    audio: [...audio.files!],
  }, { maxNewTokens: MAX_NEW_TOKENS, signal });
  for await (const piece of texts) {
    status.textContent = "Writing";
    output.append(piece);
  }
}
