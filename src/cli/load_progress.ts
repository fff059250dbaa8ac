// How far loading has come, on one line of a person's terminal.
import type { LoadProgress } from "../../mod.ts";
import type { Terminal } from "../platform/terminal.ts";

/** Shows progress until `done()`; silent unless standard error is a terminal. */
export function loadProgress(terminal: Terminal): {
  onProgress: (progress: LoadProgress) => void;
  done: () => Promise<void>;
} {
  if (!terminal.isTerminal("stderr")) {
    return { onProgress: () => {}, done: () => Promise.resolve() };
  }
  let shown = -1;
  let writing: Promise<void> = Promise.resolve();
  const write = (text: string) => {
    writing = writing.then(() => terminal.writeError(text));
  };
  return {
    onProgress({ loadedBytes, totalBytes }) {
      const percent = Math.floor(100 * loadedBytes / totalBytes);
      if (percent === shown) return;
      shown = percent;
      const megabytes = (totalBytes / 1e6).toFixed(0);
      write(`\rLoading ${percent} % of ${megabytes} MB`);
    },
    async done() {
      if (shown >= 0) write("\r\x1b[K");
      await writing;
    },
  };
}
