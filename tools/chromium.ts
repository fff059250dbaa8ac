// Chromium without a window, and SwiftShader, a Vulkan driver that computes on
// the processor, as the npm package "@sparticuz/chromium" brings them: what
// browsers and Dawn need where there is no GPU.
import {
  mkdir,
  mkdtemp,
  readFile,
  rename,
  rm,
  stat,
  writeFile,
} from "node:fs/promises";
import process from "node:process";
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { brotliDecompressSync } from "node:zlib";

const MODULES = new URL("../node_modules/", import.meta.url);
const PACKAGE = new URL("@sparticuz/chromium/bin/", MODULES);
const UNPACKED = new URL(".chromium/", MODULES);

/** Where the unpacked files are. */
export interface Chromium {
  readonly program: string;
  /** Folders of the libraries it needs beside the system's. */
  readonly libraryPath: string;
  /** Description of SwiftShader for the Vulkan loader, for VK_ICD_FILENAMES. */
  readonly vulkanDriver: string;
}

/**
 * Unpacks them once, in `node_modules`; `undefined` where the package has none
 * for this machine or is not installed.
 */
export async function unpackChromium(): Promise<Chromium | undefined> {
  const { platform, arch } = process;
  if (platform !== "linux" || arch !== "x64" || !await exists(PACKAGE)) {
    return undefined;
  }
  if (!await exists(UNPACKED)) await unpack();
  const path = (name: string) => fileURLToPath(new URL(name, UNPACKED));
  return {
    program: path("chromium"),
    libraryPath: `${path("")}:${path("lib")}`,
    vulkanDriver: path("vk_swiftshader_icd.json"),
  };
}

async function unpack(): Promise<void> {
  await mkdir(MODULES, { recursive: true });
  const folder = await mkdtemp(fileURLToPath(new URL(".chromium-", MODULES)));
  await writeFile(`${folder}/chromium`, await decompress("chromium.br"), {
    mode: 0o755,
  });
  for (const name of ["swiftshader.tar.br", "al2023.tar.br", "fonts.tar.br"]) {
    const { status, stderr } = spawnSync("tar", ["-x", "-C", folder], {
      input: await decompress(name),
    });
    if (status !== 0) {
      throw new Error(`Cannot unpack "${name}": tar says ${stderr}`);
    }
  }
  try {
    await rename(folder, UNPACKED);
  } catch (error) {
    // Another process was faster.
    await rm(folder, { recursive: true });
    if (!await exists(UNPACKED)) throw error;
  }
}

async function decompress(name: string): Promise<Uint8Array> {
  return brotliDecompressSync(await readFile(new URL(name, PACKAGE)));
}

async function exists(path: URL): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if ((error as { code?: string }).code === "ENOENT") return false;
    throw error;
  }
}
