/**
 * Gemma 3n (text, pictures and sound in, text out) in Deno, Bun, Node and
 * browsers. Names are those of Hugging Face Transformers in camelCase.
 *
 * @example
 * ```ts
 * import { pipeline } from "@g3n/core";
 *
 * await using describe = await pipeline("image-text-to-text", "tests/reference/tiny", { dtype: "f32" });
 * const [answer] = await describe(
 *   { text: "What is in this picture?", images: "tests/reference/media/cat.png" },
 *   { maxNewTokens: 8 },
 * );
 * console.log(answer!.generatedText);
 * ```
 *
 * @module
 */
export {
  AutoModelForCausalLM,
  AutoModelForImageTextToText,
} from "./src/api/auto_models.ts";
export { AutoProcessor } from "./src/api/auto_processor.ts";
export { loadCodecs, type LoadCodecsOptions } from "./src/codecs/codecs.ts";
export type {
  DeviceOption,
  DtypeOption,
  NamedDeviceOption,
  ThreadsOption,
} from "./src/api/devices.ts";
export { Gemma3nForCausalLM } from "./src/api/gemma3n_for_causal_lm.ts";
export { Gemma3nForConditionalGeneration } from "./src/api/gemma3n_for_conditional_generation.ts";
export { Gemma3nModel } from "./src/api/gemma3n_model.ts";
export { Gemma3nTextModel } from "./src/api/gemma3n_text_model.ts";
export type { GpuOption } from "./src/api/gpu_devices.ts";
export type { CallOptions } from "./src/api/media_features.ts";
export { type ModelInfo, modelInfo } from "./src/api/model_info.ts";
export type { GpuLimitName } from "./src/backends/webgpu/context.ts";
export type {
  GpuInfo,
  GpuSubgroupInfo,
} from "./src/backends/webgpu/gpu_info.ts";
export type { DeviceName } from "./src/ops/device.ts";
export type {
  CacheOptions,
  ForwardOptions,
  ForwardStates,
  Gemma3nGenerateOptions,
  Gemma3nInputs,
  Gemma3nModelOutput,
  Gemma3nOutput,
  Gemma3nTextGenerateOptions,
  Gemma3nTextInputs,
  ModelForwardOptions,
  PastKeyValues,
} from "./src/api/model_io.ts";
export type {
  CacheDtypeOption,
  ModelOptions,
  PerLayerEmbeddingsOption,
  SourceOptions,
} from "./src/api/model_options.ts";
export {
  createPipeline,
  type Pipeline,
  pipeline,
  type PipelineCallOptions,
  type PipelineResult,
} from "./src/api/pipeline.ts";
export type {
  PipelineInput,
  PipelineTask,
  PromptOptions,
  TextWithMedia,
} from "./src/api/pipeline_input.ts";
export {
  type ConvertedFile,
  type ConvertOptions,
  type ConvertProgress,
  type ConvertResult,
  convertToGguf,
} from "./src/convert/convert_to_gguf.ts";
export type {
  CacheDtype,
  ComputeDtype,
  WeightFormat,
} from "./src/core/dtype.ts";
export {
  CheckpointError,
  type CheckpointErrorOptions,
  ContextLengthError,
  type ContextLengthErrorOptions,
  DeviceError,
  HubError,
  type HubErrorOptions,
  InputError,
  UnsupportedError,
} from "./src/core/errors.ts";
export type { Json, JsonObject } from "./src/core/json.ts";
export type { Shape } from "./src/core/shape.ts";
export type { HostData, HostDtype, HostTensor } from "./src/core/tensor.ts";
export { hostTensor } from "./src/core/tensor.ts";
export type { FinishReason } from "./src/generation/continuation.ts";
export type {
  GenerateOptions,
  GenerateResult,
  GenerateTokensOptions,
} from "./src/generation/generate.ts";
export type {
  GenerationConfig,
  WarningSink,
} from "./src/generation/generation_config.ts";
export type {
  LogitsContext,
  LogitsProcessor,
} from "./src/generation/logits_processor.ts";
export type { StepLogprobs, TokenLogprob } from "./src/generation/logprobs.ts";
export type { SequenceBias } from "./src/generation/penalties.ts";
export {
  type Streamer,
  type StreamStart,
  TextStreamer,
  type TextStreamerOptions,
} from "./src/generation/streamer.ts";
export {
  TextIteratorStreamer,
  type TextIteratorStreamerOptions,
} from "./src/generation/text_iterator_streamer.ts";
export type { IdDecoder } from "./src/generation/text_decoder.ts";
export type { FileOpener, OpenedFile } from "./src/hub/opened_files.ts";
export type { ModelSource } from "./src/hub/source.ts";
export type { ByteSource } from "./src/io/byte_source.ts";
export type {
  Gemma3nAudioConfig,
  Gemma3nConfig,
  Gemma3nTextConfig,
  Gemma3nVisionConfig,
  LayerType,
  RopeParameters,
} from "./src/models/gemma3n/config.ts";
export type {
  AudioFeaturesOutput,
  ModelPart,
  PartProgress,
} from "./src/models/gemma3n/media_towers.ts";
export type {
  BlockDtype,
  CheckpointDtype,
  StorageDtype,
} from "./src/core/dtype.ts";
export { SequenceCache } from "./src/models/gemma3n/sequence_cache.ts";
export type { LoadProgress } from "./src/ops/checkpoint_weights.ts";
export type { MelOptions } from "./src/codecs/log_mel.ts";
export type { ImageSize } from "./src/codecs/resize_image.ts";
export type { AudioFeatureConfig } from "./src/processing/audio_feature_config.ts";
export { Gemma3nAudioFeatureExtractor } from "./src/processing/audio_feature_extractor.ts";
export { SiglipImageProcessor } from "./src/processing/image_processor.ts";
export {
  ChatTemplate,
  type RenderOptions,
} from "./src/processing/chat_template.ts";
export type {
  AudioFeatureExtractor,
  AudioFeatures,
  AudioInput,
  AudioSource,
  DecodedAudio,
  DecodedImage,
  ImageInput,
  ImageProcessor,
  ImageSource,
  LoadMedia,
  MediaBatch,
} from "./src/processing/media.ts";
export type {
  AudioPart,
  ContentPart,
  ImagePart,
  Message,
  Role,
  TemplateMessage,
  TextPart,
} from "./src/processing/messages.ts";
export type { PaddingOptions } from "./src/processing/padding.ts";
export {
  type DecodeOptions,
  type EncodeOptions,
  GemmaTokenizer,
} from "./src/processing/tokenizer.ts";
export type { SpecialTokens } from "./src/processing/tokenizer_config.ts";
export type { BatchFeature } from "./src/processing/batch_feature.ts";
export {
  type ApplyChatTemplateOptions,
  Gemma3nProcessor,
  type Gemma3nProcessorParts,
  type ProcessOptions,
  type ProcessorInput,
} from "./src/processing/processor.ts";
