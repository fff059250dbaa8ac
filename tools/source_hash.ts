// Hashes of Rust crates' sources, recorded in wasm/SHA256SUMS when a crate is
// built, so that a stale build is found without building.

const ROOT = new URL("../", import.meta.url);
const SUMS = new URL("wasm/SHA256SUMS", ROOT);

/** Sources of a crate: paths in its folder that start so. */
const SOURCES = /^(src\/|Cargo\.toml$|build\.rs$)/;

/** SHA-256 over the names and contents of the sources of `rust/<crate>`. */
export async function hashCrate(crate: string): Promise<string> {
  const folder = new URL(`rust/${crate}/`, ROOT);
  const paths = (await filesUnder(folder, ""))
    .filter((path) => SOURCES.test(path))
    .sort();
  const parts: string[] = [];
  for (const path of paths) {
    const bytes = await Deno.readFile(new URL(path, folder));
    parts.push(`${await sha256(bytes)}  ${path}\n`);
  }
  return await sha256(new TextEncoder().encode(parts.join("")));
}

/** The recorded hash of each crate. */
export async function readSums(): Promise<Map<string, string>> {
  const sums = new Map<string, string>();
  let text = "";
  try {
    text = await Deno.readTextFile(SUMS);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  for (const line of text.split("\n")) {
    const [hash, name] = line.split("  ");
    if (hash && name) sums.set(name.replace(/^rust\//, ""), hash);
  }
  return sums;
}

/** Records the hash of what was just built of `crate`. */
export async function writeSum(crate: string): Promise<void> {
  const sums = await readSums();
  sums.set(crate, await hashCrate(crate));
  const lines = [...sums].sort(([a], [b]) => a < b ? -1 : 1)
    .map(([name, hash]) => `${hash}  rust/${name}\n`);
  await Deno.writeTextFile(SUMS, lines.join(""));
}

async function filesUnder(folder: URL, prefix: string): Promise<string[]> {
  const paths: string[] = [];
  for await (const entry of Deno.readDir(new URL(prefix, folder))) {
    const path = prefix + entry.name;
    if (entry.isDirectory) paths.push(...await filesUnder(folder, `${path}/`));
    else paths.push(path);
  }
  return paths;
}

async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", bytes);
  return Array.from(
    new Uint8Array(digest),
    (byte) => byte.toString(16).padStart(2, "0"),
  ).join("");
}
