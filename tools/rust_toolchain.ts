// Finds a Rust compiler that builds for wasm32: rustup's with its wasm32
// target, else Debian's rustc-web, whose library is built from source.

/** How to call cargo for wasm32-unknown-unknown. */
export interface RustToolchain {
  readonly name: string;
  readonly cargo: string;
  /** Arguments after the subcommand. */
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Flags for RUSTFLAGS that choose the linker. */
  readonly rustFlags: readonly string[];
}

const TARGET = "wasm32-unknown-unknown";

/** Options of {@link findRustToolchain}. */
export interface ToolchainOptions {
  /** Whether the library is needed with atomics: it is then built from source. */
  readonly atomics?: boolean;
}

/** What Debian's packages rustc-web, cargo-web, rust-web-src and lld-19 install. */
const DEBIAN = { rustc: "/usr/bin/rustc", cargo: "/usr/bin/cargo" } as const;

/** Building the library is an unstable feature of a stable compiler. */
const UNSTABLE = { RUSTC_BOOTSTRAP: "1" } as const;

/**
 * Finds a toolchain.
 *
 * @param libraries Crates of the standard library that the crate needs, for
 * the compiler that builds them from source
 * @throws {Error} When there is none; the message says how to get one
 */
export async function findRustToolchain(
  libraries: readonly string[],
  { atomics = false }: ToolchainOptions = {},
): Promise<RustToolchain> {
  const buildStd = `-Zbuild-std=${libraries.join(",")}`;
  const components = await output("rustup", [
    "component",
    "list",
    "--installed",
  ]);
  const installed = components?.split("\n") ?? [];
  if (
    installed.includes(`rust-std-${TARGET}`) &&
    (!atomics || installed.includes("rust-src"))
  ) {
    return {
      name: "rustup",
      cargo: "cargo",
      args: ["--target", TARGET, ...(atomics ? [buildStd] : [])],
      env: atomics ? UNSTABLE : {},
      rustFlags: [],
    };
  }
  const sysroot = await output(DEBIAN.rustc, ["--print", "sysroot"]);
  if (sysroot && await output(DEBIAN.cargo, ["--version"])) {
    return {
      name: "Debian rustc-web",
      cargo: DEBIAN.cargo,
      args: ["--target", TARGET, buildStd],
      env: { ...UNSTABLE, RUSTC: DEBIAN.rustc },
      rustFlags: ["-Clinker=lld-19", "-Clinker-flavor=wasm-ld"],
    };
  }
  throw new Error(
    "Cannot build for wasm32: found no compiler with that target; run " +
      `"rustup target add ${TARGET}"${
        atomics ? ' and "rustup component add rust-src"' : ""
      }, or on Debian "apt-get install ` +
      'rustc-web cargo-web rust-web-src lld-19"',
  );
}

/** Standard output of a command; `undefined` when it is missing or fails. */
async function output(
  command: string,
  args: readonly string[],
): Promise<string | undefined> {
  try {
    const result = await new Deno.Command(command, {
      args: [...args],
      stderr: "null",
    }).output();
    return result.success
      ? new TextDecoder().decode(result.stdout).trim()
      : undefined;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
