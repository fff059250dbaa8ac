// Decoders that are large enough to measure memory by, and made up as they are
// read: nothing of them is on a disk or in memory.
import type { FileOpener } from "../../src/hub/opened_files.ts";
import type { JsonObject } from "../../src/core/json.ts";
import { numel } from "../../src/core/shape.ts";
import { type ByteSource, checkRange } from "../../src/io/byte_source.ts";
import { parseGemma3nConfig } from "../../src/models/gemma3n/config.ts";
import { decoderShapes } from "../../bench/real_size/checkpoint_shapes.ts";

const COMMON: JsonObject = {
  model_type: "gemma3n_text",
  vocab_size: 4096,
  vocab_size_per_layer_input: 4096,
  num_attention_heads: 8,
  num_key_value_heads: 2,
  laurel_rank: 32,
  sliding_window: 256,
  max_position_embeddings: 65_536,
};

/** 16 M parameters. */
export const SMALL_DECODER: JsonObject = {
  ...COMMON,
  hidden_size: 256,
  intermediate_size: 1024,
  num_hidden_layers: 10,
  num_kv_shared_layers: 5,
  head_dim: 64,
  hidden_size_per_layer_input: 64,
  activation_sparsity_pattern: sparse(10, 3),
};

/** 230 M parameters. */
export const LARGE_DECODER: JsonObject = {
  ...COMMON,
  hidden_size: 1024,
  intermediate_size: 4096,
  num_hidden_layers: 14,
  num_kv_shared_layers: 5,
  head_dim: 128,
  hidden_size_per_layer_input: 64,
  activation_sparsity_pattern: sparse(14, 4),
};

/** Wider than what 32-bit addresses reach, in any number format. */
export const HUGE_DECODER: JsonObject = {
  ...LARGE_DECODER,
  hidden_size: 4096,
  intermediate_size: 16_384,
  num_hidden_layers: 45,
  activation_sparsity_pattern: sparse(45, 3),
};

function sparse(layers: number, count: number): number[] {
  return Array.from({ length: layers }, (_, i) => i < count ? 0.95 : 0);
}

/** A source whose reads are counted. */
export interface EndlessCheckpoint extends FileOpener {
  /** Bytes of tensors that were read. */
  readonly readBytes: number;
}

/** Values of 0.01 and less of both signs, as bfloat16; at each offset the same ones. */
const PATTERN = Uint16Array.from(
  { length: 65_521 },
  (_, i) => (i * 40_503 & 0x8000) | 0x3c00 | (i * 25_717 & 0x7f),
);

/** The files of a checkpoint with this config.json, in bfloat16. */
export function endlessCheckpoint(config: JsonObject): EndlessCheckpoint {
  const tensors: Record<string, JsonObject> = {};
  let bytes = 0;
  for (
    const [name, shape] of decoderShapes(parseGemma3nConfig(config), "model.")
  ) {
    const end = bytes + 2 * numel(shape);
    tensors[name] = { dtype: "BF16", shape, data_offsets: [bytes, end] };
    bytes = end;
  }
  const text = JSON.stringify(tensors);
  const header = new Uint8Array(8 + Math.ceil(text.length / 8) * 8).fill(32);
  new DataView(header.buffer).setBigUint64(0, BigInt(header.length - 8), true);
  header.set(new TextEncoder().encode(text), 8);
  let readBytes = 0;
  const weights: ByteSource = {
    name: "model.safetensors",
    size: header.length + bytes,
    // deno-lint-ignore require-await -- a failed check must reject, not throw
    async read(offset, length, into = new Uint8Array(length)) {
      checkRange(weights, offset, length, into);
      const target = into.subarray(0, length);
      if (offset < header.length) {
        target.set(header.subarray(offset, offset + length));
        return target;
      }
      readBytes += length;
      fill(target, offset - header.length);
      return target;
    },
    close: () => Promise.resolve(),
  };
  return {
    open: (name) => {
      if (name === "model.safetensors") return weights;
      return name === "config.json"
        ? new TextEncoder().encode(JSON.stringify(config))
        : undefined;
    },
    get readBytes() {
      return readBytes;
    },
  };
}

function fill(target: Uint8Array, offset: number): void {
  const pattern = new Uint8Array(PATTERN.buffer);
  let at = offset % pattern.length;
  for (let done = 0; done < target.length;) {
    const piece = pattern.subarray(at, at + target.length - done);
    target.set(piece, done);
    done += piece.length;
    at = 0;
  }
}
