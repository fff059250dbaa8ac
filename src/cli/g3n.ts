/**
 * The command line: `g3n run`, `g3n chat`, `g3n info`.
 *
 * @module
 */
import { detectTerminal } from "../platform/detect.ts";
import { runCommandLine } from "./main.ts";

const terminal = await detectTerminal();
const code = await runCommandLine(terminal);
// Leaves at once: an open handle (a stream, a cached connection) must not keep
// a finished command alive.
terminal.exit(code);
