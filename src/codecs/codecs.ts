// The two modules of codecs, and loading them ahead of their first use.
import { CodecModule } from "./codec_module.ts";
import type * as Pictures from "../../wasm/picture_codecs.js";
import type * as Sound from "../../wasm/sound_codecs.js";

/** Decoders and resizing of pictures. */
export const pictureCodecs: CodecModule<typeof Pictures> = new CodecModule({
  name: "pictures",
  bindings: () => import("../../wasm/picture_codecs.js"),
  base64: async () =>
    (await import("../../wasm/picture_codecs_module.ts")).moduleBase64,
});

/** Decoders of compressed sound, resampling and mel features. */
export const soundCodecs: CodecModule<typeof Sound> = new CodecModule({
  name: "sound",
  bindings: () => import("../../wasm/sound_codecs.js"),
  base64: async () =>
    (await import("../../wasm/sound_codecs_module.ts")).moduleBase64,
});

/** Options of {@link loadCodecs}. */
export interface LoadCodecsOptions {
  /** The bytes of wasm/picture_codecs_module.ts, compiled. */
  readonly pictures?: WebAssembly.Module | undefined;
  /** The bytes of wasm/sound_codecs_module.ts, compiled. */
  readonly sound?: WebAssembly.Module | undefined;
}

/**
 * Instantiates the modules that decode pictures and sound from modules that
 * the caller compiled, for runtimes that forbid compiling WebAssembly. Call it
 * before anything is decoded. Elsewhere it is not needed: each module is
 * compiled when it is first used.
 *
 * @throws {DeviceError} When a module cannot be instantiated.
 *
 * @example
 * ```ts ignore
 * // A runtime that compiles modules when they are deployed imports them so.
 * import pictures from "./picture_codecs.wasm";
 * import { loadCodecs } from "@g3n/core";
 *
 * await loadCodecs({ pictures });
 * ```
 */
export async function loadCodecs(
  options: LoadCodecsOptions,
): Promise<void> {
  const { pictures, sound } = options;
  await Promise.all([
    pictures && pictureCodecs.load(pictures),
    sound && soundCodecs.load(sound),
  ]);
}
