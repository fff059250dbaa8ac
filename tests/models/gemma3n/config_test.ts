import assert from "node:assert/strict";
import { test } from "node:test";

import type { Json, JsonObject } from "../../../src/core/json.ts";
import { parseJsonObject } from "../../../src/core/json.ts";
import { parseGemma3nConfig } from "../../../src/models/gemma3n/config.ts";
import { referenceText } from "../../golden.ts";

const tiny = parseJsonObject(
  await referenceText("tiny/config.json"),
  "config.json",
);

const SLIDING = "sliding_attention", FULL = "full_attention";

test("an empty gemma3n config is E4B's, as in Transformers", () => {
  const config = parseGemma3nConfig({ model_type: "gemma3n" });
  const { textConfig, ...rest } = config;
  assert.deepEqual(textConfig, {
    vocabSize: 262_400,
    hiddenSize: 2048,
    intermediateSize: Array(35).fill(16_384),
    numHiddenLayers: 35,
    numAttentionHeads: 8,
    numKeyValueHeads: 2,
    headDim: 256,
    maxPositionEmbeddings: 32_768,
    rmsNormEps: 1e-6,
    slidingWindow: 512,
    layerTypes: Array(7).fill([SLIDING, SLIDING, SLIDING, SLIDING, FULL])
      .flat(),
    ropeParameters: {
      sliding_attention: { ropeTheta: 10_000 },
      full_attention: { ropeTheta: 1_000_000 },
    },
    finalLogitSoftcapping: 30,
    vocabSizePerLayerInput: 262_144,
    hiddenSizePerLayerInput: 256,
    altupActiveIdx: 0,
    altupCorrectScale: true,
    altupNumInputs: 4,
    numKvSharedLayers: 15,
    laurelRank: 64,
    activationSparsityPattern: [...Array(10).fill(0.95), ...Array(25).fill(0)],
    bosTokenId: 2,
    eosTokenId: [1],
    padTokenId: 0,
    tieWordEmbeddings: true,
  });
  assert.deepEqual(rest, {
    visionConfig: {
      architecture: "mobilenetv5_300m_enc",
      hiddenSize: 2048,
      vocabSize: 128,
      vocabOffset: 262_144,
      rmsNormEps: 1e-6,
      channelMultiplier: 1,
      msfaOutputResolution: 16,
    },
    audioConfig: {
      vocabSize: 128,
      vocabOffset: 262_272,
      inputFeatSize: 128,
      hiddenSize: 1536,
      rmsNormEps: 1e-6,
      gradientClipping: 1e10,
      confAttentionChunkSize: 12,
      confAttentionContextLeft: 13,
      confAttentionContextRight: 0,
      confAttentionLogitCap: 50,
      confNumAttentionHeads: 8,
      confNumHiddenLayers: 12,
      confConvKernelSize: 5,
      confReductionFactor: 4,
      confResidualWeight: 0.5,
      sscpConvChannelSize: [128, 32],
      sscpConvGroupNormEps: 1e-3,
      sscpConvKernelSize: [[3, 3], [3, 3]],
      sscpConvStrideSize: [[2, 2], [2, 2]],
    },
    audioSoftTokensPerImage: 188,
    visionSoftTokensPerImage: 256,
    imageTokenId: 262_145,
    audioTokenId: 262_273,
    tieWordEmbeddings: true,
  });
});

test("the tiny checkpoint's config.json is read", () => {
  const { textConfig, visionConfig, audioConfig, ...rest } = parseGemma3nConfig(
    tiny,
  );
  assert.equal(textConfig.numHiddenLayers, 10);
  assert.equal(textConfig.hiddenSize, 64);
  assert.deepEqual(textConfig.intermediateSize, Array(10).fill(128));
  assert.deepEqual(
    textConfig.layerTypes,
    Array(2).fill([SLIDING, SLIDING, SLIDING, SLIDING, FULL]).flat(),
  );
  assert.deepEqual(
    textConfig.activationSparsityPattern,
    [...Array(4).fill(0.95), ...Array(6).fill(0)],
  );
  assert.equal(textConfig.slidingWindow, 16);
  assert.equal(visionConfig!.channelMultiplier, 0.03125);
  assert.equal(visionConfig!.vocabOffset, 2048);
  assert.equal(audioConfig!.hiddenSize, 48);
  assert.deepEqual(audioConfig!.sscpConvChannelSize, [16, 8]);
  assert.deepEqual(rest, {
    audioSoftTokensPerImage: 188,
    visionSoftTokensPerImage: 256,
    imageTokenId: 2049,
    audioTokenId: 2057,
    tieWordEmbeddings: true,
  });
});

test("a text-only config has no towers and reads the spelling of 2025", async () => {
  const json = parseJsonObject(
    await referenceText("tiny-text/config.json"),
    "config.json",
  );
  const config = parseGemma3nConfig(json);
  assert.equal(config.visionConfig, undefined);
  assert.equal(config.audioConfig, undefined);
  assert.deepEqual(
    config.textConfig,
    parseGemma3nConfig(tiny).textConfig,
  );
});

test("fields with several spellings", () => {
  const parse = (fields: JsonObject) =>
    parseGemma3nConfig({ model_type: "gemma3n_text", ...fields }).textConfig;
  const few = { num_hidden_layers: 2, num_kv_shared_layers: 0 };
  assert.deepEqual(
    parse({ ...few, intermediate_size: 24 }).intermediateSize,
    [24, 24],
  );
  assert.deepEqual(
    parse({ ...few, activation_sparsity_pattern: 0.5 })
      .activationSparsityPattern,
    [0.5, 0.5],
  );
  assert.deepEqual(parse(few).activationSparsityPattern, [0, 0]);
  assert.deepEqual(parse({ eos_token_id: [1, 106] }).eosTokenId, [1, 106]);
  assert.equal(
    parse({ final_logit_softcapping: 0 }).finalLogitSoftcapping,
    undefined,
  );
  assert.deepEqual(
    parse({ rope_theta: 5e5, rope_local_base_freq: 2e4, rope_scaling: null })
      .ropeParameters,
    {
      sliding_attention: { ropeTheta: 2e4 },
      full_attention: { ropeTheta: 5e5 },
    },
  );
  assert.deepEqual(
    parse({
      rope_theta: 5e5,
      rope_parameters: { full_attention: { rope_theta: 7e5 } },
    }).ropeParameters.full_attention,
    { ropeTheta: 7e5 },
  );
  const dropout = { model_args: { drop_path_rate: 0.1 } };
  const { visionConfig } = parseGemma3nConfig({
    model_type: "gemma3n",
    vision_config: dropout,
  });
  assert.equal(visionConfig!.channelMultiplier, 1);
});

/** The config of E4B with one part changed, and what the message must say. */
interface Bad {
  readonly at?: "text_config" | "vision_config" | "audio_config";
  readonly fields: { readonly [key: string]: Json };
  readonly error: "CheckpointError" | "UnsupportedError";
  readonly message: RegExp;
}

const unsupported = "UnsupportedError", damaged = "CheckpointError";

const BAD: readonly Bad[] = [
  {
    fields: { model_type: "llama" },
    error: unsupported,
    message: /type "llama": "gemma3n" and "gemma3n_text" are supported$/,
  },
  {
    fields: { model_type: null },
    error: damaged,
    message: /config\.json: "model_type" is missing$/,
  },
  {
    fields: { text_config: [] },
    error: damaged,
    message: /"text_config" is \[\], wanted an object$/,
  },
  {
    fields: { vision_soft_tokens_per_image: 64 },
    error: damaged,
    message: /"vision_soft_tokens_per_image" is 64, .* 16 gives 256$/,
  },
  {
    fields: { image_token_id: -1 },
    error: damaged,
    message: /"image_token_id" is -1, wanted a number of at least 0$/,
  },
  {
    at: "text_config",
    fields: { hidden_size: "2048" },
    error: damaged,
    message:
      /config\.json: text_config: "hidden_size" is "2048", wanted an integer$/,
  },
  {
    at: "text_config",
    fields: { num_hidden_layers: 1e15 },
    error: damaged,
    message: /"num_hidden_layers" is 1000000000000000, wanted .* 1 to 1024$/,
  },
  {
    at: "text_config",
    fields: { rms_norm_eps: true },
    error: damaged,
    message: /"rms_norm_eps" is true, wanted a number$/,
  },
  {
    at: "text_config",
    fields: { hidden_activation: "relu" },
    error: unsupported,
    message: /activation "relu" of config\.json: text_config/,
  },
  {
    at: "text_config",
    fields: { attention_bias: true },
    error: unsupported,
    message: /"attention_bias" is true, Gemma 3n has no biases$/,
  },
  {
    at: "text_config",
    fields: { intermediate_size: [1, 2] },
    error: damaged,
    message: /"intermediate_size" has 2 items, 35 are needed$/,
  },
  {
    at: "text_config",
    fields: { intermediate_size: 0 },
    error: damaged,
    message: /"intermediate_size" is 0, wanted a number of at least 1$/,
  },
  {
    at: "text_config",
    fields: { layer_types: [SLIDING] },
    error: damaged,
    message: /"layer_types" has 1 items, 35 are needed$/,
  },
  {
    at: "text_config",
    fields: { layer_types: Array(35).fill("chunked_attention") },
    error: unsupported,
    message: /layer of type "chunked_attention"/,
  },
  {
    at: "text_config",
    fields: { layer_types: [...Array(34).fill(SLIDING), FULL] },
    error: damaged,
    message: /full_attention layer shares keys and values, but no earlier one/,
  },
  {
    at: "text_config",
    fields: { num_kv_shared_layers: 36 },
    error: damaged,
    message: /36 layers share keys and values, there are 35$/,
  },
  {
    at: "text_config",
    fields: { num_key_value_heads: 3 },
    error: damaged,
    message: /8 attention heads cannot share 3 key-value heads evenly$/,
  },
  {
    at: "text_config",
    fields: { head_dim: 63 },
    error: damaged,
    message: /"head_dim" is 63, wanted an even number$/,
  },
  {
    at: "text_config",
    fields: { altup_active_idx: 4 },
    error: damaged,
    message: /"altup_active_idx" is 4, there are 4 streams$/,
  },
  {
    at: "text_config",
    fields: { activation_sparsity_pattern: Array(35).fill(1.5) },
    error: damaged,
    message: /"activation_sparsity_pattern\[0\]" is 1.5, wanted .* 0 to 1$/,
  },
  {
    at: "text_config",
    fields: { activation_sparsity_pattern: [0.95] },
    error: damaged,
    message: /"activation_sparsity_pattern" has 1 items, 35 are needed$/,
  },
  {
    at: "text_config",
    fields: { rope_scaling: { type: "linear", factor: 2 } },
    error: unsupported,
    message: /"rope_scaling" of config\.json: text_config/,
  },
  {
    at: "text_config",
    fields: { rope_parameters: { full_attention: { rope_type: "yarn" } } },
    error: unsupported,
    message: /rope type "yarn" of .*rope_parameters: full_attention/,
  },
  {
    at: "text_config",
    fields: { rope_parameters: { full_attention: { rope_theta: 0 } } },
    error: damaged,
    message: /full_attention: "rope_theta" is 0, wanted .* at least 1$/,
  },
  {
    at: "vision_config",
    fields: { architecture: "resnet50" },
    error: unsupported,
    message: /architecture "resnet50": "mobilenetv5_300m_enc" is supported$/,
  },
  {
    at: "vision_config",
    fields: { hidden_size: 1024 },
    error: damaged,
    message: /"hidden_size" is 1024, mobilenetv5_300m_enc has 2048 output/,
  },
  {
    at: "vision_config",
    fields: { model_args: { msfa_indices: [-1] } },
    error: unsupported,
    message:
      /"msfa_indices" of config\.json: vision_config: model_args: "channel_/,
  },
  {
    at: "vision_config",
    fields: { model_args: { channel_multiplier: 0 } },
    error: damaged,
    message: /model_args: "channel_multiplier" is 0, wanted/,
  },
  {
    at: "vision_config",
    fields: { model_args: { msfa_output_resolution: 8 } },
    error: damaged,
    message: /"vision_soft_tokens_per_image" is 256, .* 8 gives 64$/,
  },
  {
    at: "audio_config",
    fields: { conf_num_hidden_layers: 1e15 },
    error: damaged,
    message: /"conf_num_hidden_layers" is 1000000000000000, wanted .* 1024$/,
  },
  {
    at: "audio_config",
    fields: { hidden_size: 1530 },
    error: damaged,
    message:
      /"hidden_size" is 1530, .* "conf_num_attention_heads", 8, divides$/,
  },
  {
    at: "audio_config",
    fields: { hidden_size: 15, conf_num_attention_heads: 5 },
    error: damaged,
    message: /"hidden_size" is 15, wanted an even number/,
  },
  {
    at: "audio_config",
    fields: { sscp_conv_channel_size: [16] },
    error: damaged,
    message: /"sscp_conv_channel_size" has 1 items, 2 are needed$/,
  },
  {
    at: "audio_config",
    fields: { sscp_conv_kernel_size: [3, 3] },
    error: damaged,
    message: /"sscp_conv_kernel_size\[0\]" is not a pair of integers$/,
  },
  {
    at: "audio_config",
    fields: { sscp_conv_stride_size: [[2, 2], [2, 0]] },
    error: damaged,
    message: /"sscp_conv_stride_size\[1\]\[1\]" is 0, wanted .* at least 1$/,
  },
];

for (const { at, fields, error, message } of BAD) {
  const where = at === undefined ? "" : `${at} `;
  test(`${error}: ${where}${JSON.stringify(fields).slice(0, 60)}`, () => {
    const part = at === undefined ? fields : { [at]: fields };
    const json: JsonObject = { model_type: "gemma3n", ...part };
    assert.throws(() => parseGemma3nConfig(json), { name: error, message });
  });
}
