// Builds each half of the codecs crate, pictures and sound, into
// wasm/picture_codecs.js, .d.ts and _module.ts, and wasm/sound_codecs.*:
//   deno run -A tools/build_codecs.ts
// Needs the wasm-bindgen command in the version that rust/codecs/Cargo.toml
// pins; tools/build_wasm.ts --check tells whether a build is stale.
import { findRustToolchain } from "./rust_toolchain.ts";
import { writeSum } from "./source_hash.ts";

const ROOT = new URL("../", import.meta.url);
const RUST = new URL("rust/", ROOT);
const CRATE = "codecs";
/** Start of a folder for each half: their flags differ, and so would all that is built. */
const TARGET_FOLDER = "target/wasm-codecs";

/** A feature of the crate and the module that it is built into. */
interface Half {
  readonly feature: string;
  readonly module: string;
  /** Most memory that an instance may take, in bytes. */
  readonly maxMemory: number;
}

const HALVES: readonly Half[] = [
  { feature: "pictures", module: "picture_codecs", maxMemory: 4 * 2 ** 30 },
  // The file, and tables that damage may make large.
  { feature: "sound", module: "sound_codecs", maxMemory: 2 ** 30 },
];

const wasmBindgen = await findWasmBindgen();
const toolchain = await findRustToolchain(["std", "panic_abort"]);
for (const half of HALVES) {
  await compile(half);
  const glue = await Deno.makeTempDir();
  await generateGlue(wasmBindgen, glue, half);
  await publish(glue, half);
  await Deno.remove(glue, { recursive: true });
}
await writeSum(CRATE);

async function compile({ feature, maxMemory }: Half): Promise<void> {
  console.log(
    `Building ${feature} of rust/${CRATE} with ${toolchain.name}`,
  );
  const flags = [
    ...toolchain.rustFlags,
    "-Ctarget-feature=+simd128",
    `-Clink-arg=--max-memory=${maxMemory}`,
    // Messages of panics name files; they must not depend on the machine.
    ...await pathRemaps(),
  ];
  await run(toolchain.cargo, [
    "build",
    "--quiet",
    "--release",
    "--package",
    CRATE,
    "--no-default-features",
    "--features",
    feature,
    "--target-dir",
    `${TARGET_FOLDER}-${feature}`,
    ...toolchain.args,
  ], {
    ...toolchain.env,
    RUSTFLAGS: flags.join(" "),
    // wasm-bindgen reads the section of features and strips the rest itself.
    CARGO_PROFILE_RELEASE_STRIP: "none",
  });
}

async function pathRemaps(): Promise<string[]> {
  const home = Deno.env.get("CARGO_HOME") ?? `${Deno.env.get("HOME")}/.cargo`;
  const registry = `${home}/registry/src`;
  const remaps = [
    "--remap-path-prefix=/usr/lib/rustlib/src/rust/library=library",
    `--remap-path-prefix=${registry}=registry`,
  ];
  // The longest match is the last given: the registry's own folder goes too.
  for await (const entry of Deno.readDir(registry)) {
    remaps.push(`--remap-path-prefix=${registry}/${entry.name}=registry`);
  }
  return remaps;
}

/**
 * The wasm-bindgen command, checked against the pinned version.
 *
 * @throws {Error} When it is missing or has another version.
 */
async function findWasmBindgen(): Promise<string> {
  const manifest = await Deno.readTextFile(
    new URL(`${CRATE}/Cargo.toml`, RUST),
  );
  const pinned = manifest.match(/^wasm-bindgen = "=(.+)"$/m)?.[1];
  const home = Deno.env.get("CARGO_HOME") ?? `${Deno.env.get("HOME")}/.cargo`;
  let found = "nothing";
  for (const command of ["wasm-bindgen", `${home}/bin/wasm-bindgen`]) {
    const version = await versionOf(command);
    if (version === `wasm-bindgen ${pinned}`) return command;
    found = version ?? found;
  }
  throw new Error(
    `Cannot build the codecs: wasm-bindgen ${pinned} is needed, found ${found}; ` +
      `run "cargo install wasm-bindgen-cli --version ${pinned} --bin wasm-bindgen"`,
  );
}

async function versionOf(command: string): Promise<string | undefined> {
  try {
    const { stdout } = await new Deno.Command(command, { args: ["--version"] })
      .output();
    return new TextDecoder().decode(stdout).trim();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

async function generateGlue(
  command: string,
  folder: string,
  { feature, module }: Half,
): Promise<void> {
  await run(command, [
    "--target",
    "web",
    // No URL of the module for bundlers to follow: its bytes are passed in.
    "--omit-default-module-path",
    // A fresh instance after a trap.
    "--experimental-reset-state-function",
    "--remove-name-section",
    "--remove-producers-section",
    "--out-name",
    module,
    "--out-dir",
    folder,
    `${TARGET_FOLDER}-${feature}/wasm32-unknown-unknown/release/${CRATE}.wasm`,
  ]);
}

async function publish(
  folder: string,
  { feature, module }: Half,
): Promise<void> {
  const wasm = new URL("wasm/", ROOT);
  await Deno.mkdir(wasm, { recursive: true });
  for (const file of [`${module}.js`, `${module}.d.ts`]) {
    await Deno.copyFile(`${folder}/${file}`, new URL(file, wasm));
  }
  const bytes = await Deno.readFile(`${folder}/${module}_bg.wasm`);
  const text =
    "// Generated by tools/build_codecs.ts from rust/codecs; do not edit.\n\n" +
    `/** The module of ${feature}, base64. */\n` +
    "export const moduleBase64: string =\n" +
    `  "${bytes.toBase64()}";\n`;
  await Deno.writeTextFile(new URL(`${module}_module.ts`, wasm), text);
  console.log(`Wrote wasm/${module}_module.ts: ${bytes.length} bytes`);
}

async function run(
  command: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<void> {
  const options = { cwd: RUST, args: [...args], env: { ...env } };
  const { success } = await new Deno.Command(command, options).spawn().status;
  if (!success) throw new Error(`Cannot run ${command}: see above`);
}
