// The steps of the gate: what is checked, and the tests on each runtime.
import { unpackChromium } from "./chromium.ts";
import type { Step } from "./run_steps.ts";

const ROOT = new URL("../", import.meta.url);
const BUN_PACKAGE = "bun@1.4";
const DENO = Deno.execPath();

/** Most that a test may take on Bun, whose own limit of 5 s is for faster machines. */
const BUN_TIMEOUT_MS = 120_000;

/**
 * Tests of the tools and of the package need Deno, as the tools do; all others
 * run everywhere.
 */
const DENO_ONLY = /^tests\/(tools|packaging)\//;

/**
 * Tests of code that meets nothing of a runtime but its engine, which Node
 * shares with Deno, and files, which others open: Deno and Bun run them.
 */
const ENGINE_ONLY =
  /^tests\/(bench|convert|core|generation|models|processing|quant)\//;

/** Tests that run every kernel. */
const OPERATIONS = /^tests\/(ops|backends\/webgpu)\//;
/** Files of them that take minutes on SwiftShader; Deno runs them. */
const SLOW_OPERATIONS =
  /\/(matmul_variants|steady_state|soak|pictures)_test\.ts$/;
/**
 * Tests of them without what Node has run on the other devices, and without
 * what SwiftShader is slowest at. Node runs all tests where the pattern matches
 * "<root>", in which they are.
 */
const OPERATIONS_ON_DAWN = `^(?!${
  [
    "<root>",
    ".*( on |\\()(the )?(reference|wasm)",
    "decoderLayer of (wide q8|large|odd f32|(wide|odd) q4 matches .* floats)",
    "sample\\(\\) chooses as the host",
  ].join("|")
})`;

/** Tests of the whole model, and those of them that SwiftShader has time for. */
const MODEL_TESTS = [
  "tests/api/logits_test.ts",
  "tests/api/transcripts_test.ts",
];
const MODEL_TESTS_ON_DAWN = "(logits|ids) for (text|korean) on webgpu";

const CARGO_BIN = `${
  Deno.env.get("CARGO_HOME") ?? `${Deno.env.get("HOME")}/.cargo`
}/bin`;
/**
 * What runs of cargo have in common. rustup's folder goes first: npx puts the
 * system's there, and clippy cannot use what another compiler built.
 */
const CARGO_STEP = {
  folder: "rust/",
  resource: "cargo",
  env: { PATH: `${CARGO_BIN}:${Deno.env.get("PATH")}` },
} as const;
const CARGO = await isInstalled(`${CARGO_BIN}/cargo`)
  ? `${CARGO_BIN}/cargo`
  : "cargo";

/** Everything but the tests; none of it may be missing. */
export function checkSteps(): Step[] {
  const check = (name: string, ...command: string[]): Step => ({
    name,
    runner: "check",
    command,
  });
  const cargo = (name: string, ...args: string[]): Step => ({
    ...check(name, CARGO, ...args),
    ...CARGO_STEP,
  });
  const tool = (name: string, file: string, ...args: string[]): Step =>
    check(name, DENO, "run", "-A", `tools/${file}`, ...args);
  return [
    cargo(
      "Rust lints",
      "clippy",
      "--locked",
      "--all-targets",
      "--quiet",
      "--",
      "-Dwarnings",
    ),
    check("types", DENO, "check"),
    {
      name: "examples in documents",
      runner: "deno",
      // Without unused locals being errors: Deno imports more than is used.
      command: [
        DENO,
        "test",
        "--doc",
        "-A",
        "--config",
        "tools/doc_test.json",
        "README.md",
        "docs/",
        "mod.ts",
        "src/",
      ],
    },
    check("format", DENO, "fmt", "--check"),
    check("lints", DENO, "lint"),
    check(
      "lints of documents",
      DENO,
      "doc",
      "--lint",
      "mod.ts",
      "src/cli/g3n.ts",
      "models/nano/mod.ts",
    ),
    publishing("the library", ""),
    publishing("the small model", "models/nano/"),
    tool("layers", "check_layers.ts"),
    tool("style", "check_style.ts"),
    tool("documents", "check_docs.ts"),
    tool("built WebAssembly", "build_wasm.ts", "--check"),
    cargo("Rust format", "fmt", "--all", "--check"),
  ];
}

/** That a package of the workspace can be published. */
function publishing(name: string, folder: string): Step {
  return {
    name: `publishing ${name}`,
    runner: "check",
    command: [DENO, "publish", "--dry-run", "--allow-dirty"],
    folder,
  };
}

/**
 * The tests on the three runtimes, and those of the kernels where there is a
 * Rust compiler.
 */
export async function testSteps(): Promise<Step[]> {
  const files = await testFiles();
  const everywhere = files.filter((path) => !DENO_ONLY.test(path));
  const steps: Step[] = [
    {
      name: "tests on Node",
      runner: "node",
      command: nodeTests(everywhere.filter((path) => !ENGINE_ONLY.test(path))),
    },
    {
      name: "tests on Deno",
      runner: "deno",
      // "types" checks them; a run of the tests alone is not held up by types.
      command: [DENO, "test", "-A", "--no-check", ...files],
    },
    {
      name: "tests on Bun",
      runner: "bun",
      command: bunTests(await bun(), everywhere),
    },
  ];
  steps.push(...await dawnSteps(everywhere));
  if (await isInstalled(CARGO)) {
    steps.push({
      name: "tests of the kernels",
      runner: "cargo",
      command: [CARGO, "test", "--locked", "--quiet"],
      ...CARGO_STEP,
    });
  } else {
    console.log(
      'The tests of the kernels are left out: "cargo" is not installed',
    );
  }
  return steps;
}

/**
 * The operations and the model's logits and ids on Dawn, which checks WGSL more
 * strictly than Deno does, with SwiftShader as the driver.
 */
async function dawnSteps(files: readonly string[]): Promise<Step[]> {
  const chromium = await unpackChromium();
  if (chromium === undefined) {
    console.log(
      "The tests on Dawn are left out: there is no SwiftShader for " +
        "this machine",
    );
    return [];
  }
  const onDawn = (name: string, runner: "node" | "bun", command: string[]) => ({
    name: `${name} on Dawn`,
    runner,
    command,
    env: {
      VK_ICD_FILENAMES: chromium.vulkanDriver,
      G3N_REQUIRE_WEBGPU: runner,
    },
  });
  const operations = files.filter((path) =>
    OPERATIONS.test(path) && !SLOW_OPERATIONS.test(path)
  );
  const only = (names: string) => `--test-name-pattern=${names}`;
  const model = only(MODEL_TESTS_ON_DAWN);
  return [
    onDawn(
      "operations",
      "node",
      nodeTests(operations, only(OPERATIONS_ON_DAWN)),
    ),
    // In one process, which compiles the kernels once for both files.
    onDawn("the model", "bun", [...bunTests(await bun(), MODEL_TESTS), model]),
  ];
}

function bunTests(bun: readonly string[], files: readonly string[]): string[] {
  // With ./ a path is a file, without a part of a name.
  const paths = files.map((path) => `./${path}`);
  return [...bun, "test", `--timeout=${BUN_TIMEOUT_MS}`, ...paths];
}

function nodeTests(files: readonly string[], ...more: string[]): string[] {
  const options = ["--import", "tsx", "--test", "--test-reporter=spec"];
  return ["node", ...options, ...more, ...files];
}

/** Paths of all tests, in their order. */
export async function testFiles(folder = "tests/"): Promise<string[]> {
  const paths: string[] = [];
  for await (
    const { name, isDirectory } of Deno.readDir(new URL(folder, ROOT))
  ) {
    if (isDirectory) paths.push(...await testFiles(`${folder}${name}/`));
    else if (name.endsWith("_test.ts")) paths.push(folder + name);
  }
  return paths.sort();
}

async function bun(): Promise<string[]> {
  return await isInstalled("bun") ? ["bun"] : ["npx", "--yes", BUN_PACKAGE];
}

async function isInstalled(program: string): Promise<boolean> {
  try {
    const { success } = await new Deno.Command(program, {
      args: ["--version"],
      stdout: "null",
      stderr: "null",
    }).output();
    return success;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
