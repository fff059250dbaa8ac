// Checks that the modules of src/ import along the layers of ARCHITECTURE.md.
//
//   deno run -A tools/check_layers.ts [FOLDER]
//
// Prints each violation as `file:line: message` and ends with code 1.
import { fileURLToPath } from "node:url";

interface LintReport {
  readonly diagnostics: readonly {
    readonly filename: string;
    readonly range: { readonly start: { readonly line: number } };
    readonly message: string;
  }[];
  readonly errors: readonly { file_path: string; message: string }[];
}

/**
 * Checks a folder called `src`; returns its violations.
 *
 * @throws {Error} When the linter does not run, or finds no files.
 */
export async function checkLayers(folder: string): Promise<string[]> {
  const config = fileURLToPath(new URL("./layers_lint.json", import.meta.url));
  const command = new Deno.Command(Deno.execPath(), {
    args: ["lint", "--json", "--config", config, folder],
    stdout: "piped",
    stderr: "piped",
  });
  const { stdout, stderr } = await command.output();
  const text = new TextDecoder().decode(stdout);
  if (text === "") throw new Error(new TextDecoder().decode(stderr));
  const report: LintReport = JSON.parse(text);
  return [
    ...report.diagnostics.map(({ filename, range, message }) =>
      `${
        filename.replace(/^.*\/src\//, "src/")
      }:${range.start.line}: ${message}`
    ),
    ...report.errors.map((error) => `${error.file_path}: ${error.message}`),
  ];
}

if (import.meta.main) {
  const src = fileURLToPath(new URL("../src", import.meta.url));
  const violations = await checkLayers(Deno.args[0] ?? src);
  for (const violation of violations) console.error(violation);
  if (violations.length > 0) Deno.exit(1);
  console.log("Layers: no violation");
}
