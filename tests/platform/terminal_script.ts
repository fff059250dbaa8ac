// What terminal_test.ts runs in a process of its own: the first argument picks
// the part of the Terminal that is used.
import { detectPlatform, detectTerminal } from "../../src/platform/detect.ts";

const terminal = await detectTerminal();
const [part, ...rest] = terminal.args;

if (part === "echo") {
  await terminal.write(`${rest.join("|")}:${await terminal.readStdin()}`);
  await terminal.writeError(String(terminal.isTerminal("stdin")));
  terminal.exit(3);
}
if (part === "lines") {
  for await (const line of terminal.lines()) await terminal.write(`<${line}>`);
}
if (part === "prompt") {
  let kind = "";
  while (kind !== "end") {
    const result = await terminal.prompt("? ");
    await terminal.write(`<${JSON.stringify(result)}>`);
    kind = result.kind;
  }
  terminal.exit(0);
}
if (part === "large") {
  await terminal.write("x".repeat(3_000_000));
  terminal.exit(0);
}
if (part === "pipe") {
  await terminal.write("ready");
  const end = Date.now() + 5000;
  try {
    while (Date.now() < end) await terminal.write("x".repeat(100_000));
  } catch {
    await terminal.writeError("closed");
  }
}
if (part === "env") {
  const platform = await detectPlatform();
  await terminal.write(String(platform.env("G3N_TEST_VARIABLE")));
}
if (part === "interrupt") {
  const waiting = setInterval(() => {}, 1000);
  const stop = terminal.onInterrupt(async () => {
    stop();
    clearInterval(waiting);
    await terminal.write(" interrupted");
  });
  await terminal.write("ready");
}
