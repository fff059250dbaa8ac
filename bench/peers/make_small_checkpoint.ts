// Makes a small random checkpoint within the sizes that llama.cpp has built in
// for Gemma 3n: 20 layers with keys and values of their own, activation
// sparsity on the first ten, four AltUp streams, LAuReL rank 64, per-layer
// width 256. Norms after a block are below 1, so that rounding does not grow
// from layer to layer without bounds.
import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { randomInts } from "../../tests/io/files.ts";

const VOCABULARY = 2064;
const D = 256;
const F = 512;
const LAYERS = 30;
const OWNING = 20;
const HEADS = 4;
const KV_HEADS = 2;
const H = 64;
const A = 4;
const P = 256;
const RANK = 64;
const BLOCK_NORM = 0.4;
const FINAL_NORM = 6;

const CONFIG = {
  architectures: ["Gemma3nForCausalLM"],
  model_type: "gemma3n_text",
  vocab_size: VOCABULARY,
  vocab_size_per_layer_input: 2048,
  hidden_size: D,
  hidden_size_per_layer_input: P,
  intermediate_size: F,
  num_hidden_layers: LAYERS,
  num_attention_heads: HEADS,
  num_key_value_heads: KV_HEADS,
  num_kv_shared_layers: LAYERS - OWNING,
  head_dim: H,
  max_position_embeddings: 4096,
  sliding_window: 32,
  laurel_rank: RANK,
  activation_sparsity_pattern: Array.from(
    { length: LAYERS },
    (_, i) => i < 10 ? 0.95 : 0,
  ),
  bos_token_id: 2,
  eos_token_id: 1,
  pad_token_id: 0,
};

/** A tensor to be made: its shape, the mean and the deviation of its values. */
interface Random {
  readonly shape: readonly number[];
  readonly mean: number;
  readonly deviation: number;
}

/** Writes the checkpoint; the tokenizer's files come from `tokenizer`. */
export function makeSmallCheckpoint(folder: string, tokenizer: string): void {
  mkdirSync(folder, { recursive: true });
  for (const file of ["tokenizer.json", "tokenizer_config.json"]) {
    copyFileSync(join(tokenizer, file), join(folder, file));
  }
  writeFileSync(join(folder, "config.json"), JSON.stringify(CONFIG, null, 1));
  writeFileSync(join(folder, "model.safetensors"), safetensors(tensors()));
}

function tensors(): Map<string, Random> {
  const all = new Map<string, Random>();
  const add = (name: string, shape: number[], deviation: number, mean = 0) =>
    all.set(`model.${name}`, { shape, mean, deviation });
  const matrix = (name: string, rows: number, columns: number) =>
    add(`${name}.weight`, [rows, columns], columns ** -0.5);
  const norm = (name: string, size = D, mean = 1) =>
    add(`${name}.weight`, [size], 0.1 * mean, mean);
  add("embed_tokens.weight", [VOCABULARY, D], D ** -0.5);
  add("embed_tokens_per_layer.weight", [2048, LAYERS * P], P ** -0.5);
  matrix("per_layer_model_projection", LAYERS * P, D);
  norm("per_layer_projection_norm", P);
  norm("norm", D, FINAL_NORM);
  for (let i = 0; i < A - 1; i++) {
    matrix(`altup_projections.${i}`, D, D);
    matrix(`altup_unembed_projections.${i}`, D, D);
  }
  for (let i = 0; i < LAYERS; i++) {
    layer((name) => `layers.${i}.${name}`, { add, matrix, norm });
  }
  return all;
}

interface Makers {
  add(name: string, shape: number[], deviation: number, mean?: number): void;
  matrix(name: string, rows: number, columns: number): void;
  norm(name: string, size?: number, mean?: number): void;
}

function layer(at: (name: string) => string, make: Makers): void {
  const { add, matrix, norm } = make;
  norm(at("input_layernorm"));
  norm(at("pre_feedforward_layernorm"));
  norm(at("post_attention_layernorm"), D, BLOCK_NORM);
  norm(at("post_feedforward_layernorm"), D, BLOCK_NORM);
  norm(at("post_per_layer_input_norm"), D, BLOCK_NORM);
  matrix(at("self_attn.q_proj"), HEADS * H, D);
  matrix(at("self_attn.k_proj"), KV_HEADS * H, D);
  matrix(at("self_attn.v_proj"), KV_HEADS * H, D);
  matrix(at("self_attn.o_proj"), D, HEADS * H);
  norm(at("self_attn.q_norm"), H);
  norm(at("self_attn.k_norm"), H, 0.3);
  matrix(at("mlp.gate_proj"), F, D);
  matrix(at("mlp.up_proj"), F, D);
  matrix(at("mlp.down_proj"), D, F);
  matrix(at("per_layer_input_gate"), P, D);
  matrix(at("per_layer_projection"), D, P);
  norm(at("altup.router_norm"));
  matrix(at("altup.modality_router"), A, D);
  add(at("altup.prediction_coefs.weight"), [A * A, A], 0.1);
  add(at("altup.correction_coefs.weight"), [A, A], 0.1);
  add(at("altup.correct_output_scale"), [D], 0.1, 1);
  matrix(at("laurel.linear_left"), RANK, D);
  matrix(at("laurel.linear_right"), D, RANK);
  norm(at("laurel.post_laurel_norm"), D, BLOCK_NORM);
}

/** All tensors in bfloat16, with random values. */
function safetensors(tensors: ReadonlyMap<string, Random>): Uint8Array {
  const header: Record<string, unknown> = {};
  let end = 0;
  for (const [name, { shape }] of tensors) {
    const bytes = 2 * shape.reduce((product, size) => product * size);
    header[name] = { dtype: "BF16", shape, data_offsets: [end, end + bytes] };
    end += bytes;
  }
  const json = new TextEncoder().encode(JSON.stringify(header));
  const padded = Math.ceil(json.byteLength / 8) * 8;
  const file = new Uint8Array(8 + padded + end).fill(32, 8, 8 + padded);
  new DataView(file.buffer).setBigUint64(0, BigInt(padded), true);
  file.set(json, 8);
  const values = new Uint16Array(file.buffer, 8 + padded);
  const normal = normalNumbers(randomInts(11));
  let at = 0;
  for (const { shape, mean, deviation } of tensors.values()) {
    const count = shape.reduce((product, size) => product * size);
    for (let i = 0; i < count; i++) {
      values[at++] = bfloat16(mean + deviation * normal());
    }
  }
  return file;
}

function normalNumbers(random: (limit: number) => number): () => number {
  const uniform = () => (random(2 ** 30) + 0.5) / 2 ** 30;
  return () =>
    Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
}

const FLOAT = new Float32Array(1);
const BITS = new Uint32Array(FLOAT.buffer);

function bfloat16(value: number): number {
  FLOAT[0] = value;
  return (BITS[0]! + 0x8000) >>> 16;
}
