"""Configuration of g3n-nano: the architecture of Gemma 3n with every mechanism on, at small widths."""

from transformers import Gemma3nConfig

TEXT_VOCABULARY = 4096
MEDIA_TOKENS = 8
IMAGE_OFFSET = TEXT_VOCABULARY
AUDIO_OFFSET = IMAGE_OFFSET + MEDIA_TOKENS
VOCABULARY = AUDIO_OFFSET + MEDIA_TOKENS
IMAGE_SIZE = 256
IMAGE_SLOTS = 64
AUDIO_SLOTS = 188
LAYERS = 10
PAD, EOS, BOS, UNK, MASK, START_OF_TURN, END_OF_TURN, START_OF_IMAGE, START_OF_AUDIO = range(9)
END_OF_IMAGE, IMAGE_TOKEN = IMAGE_OFFSET, IMAGE_OFFSET + 1
END_OF_AUDIO, AUDIO_TOKEN = AUDIO_OFFSET, AUDIO_OFFSET + 1


def text_config() -> dict:
    return {
        "vocab_size": VOCABULARY,
        "vocab_size_per_layer_input": TEXT_VOCABULARY,
        "hidden_size": 256,
        "hidden_size_per_layer_input": 16,
        "intermediate_size": [512] * LAYERS,
        "num_hidden_layers": LAYERS,
        "layer_types": (["sliding_attention"] * 4 + ["full_attention"]) * 2,
        "num_kv_shared_layers": 5,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 64,
        "sliding_window": 256,
        "max_position_embeddings": 4096,
        "activation_sparsity_pattern": [0.95] * 2 + [0.0] * (LAYERS - 2),
        "laurel_rank": 16,
        "altup_num_inputs": 4,
        "rope_parameters": {
            "full_attention": {"rope_theta": 1_000_000.0, "rope_type": "default"},
            "sliding_attention": {"rope_theta": 10_000.0, "rope_type": "default"},
        },
    }


def vision_config() -> dict:
    return {
        "architecture": "mobilenetv5_300m_enc",
        "hidden_size": 2048,
        "vocab_size": MEDIA_TOKENS,
        "vocab_offset": IMAGE_OFFSET,
        "do_pooling": False,
        "num_classes": 2,
        "label_names": ["LABEL_0", "LABEL_1"],
        "model_args": {"channel_multiplier": 0.0625, "msfa_output_resolution": 8},
    }


def audio_config() -> dict:
    return {
        "vocab_size": MEDIA_TOKENS,
        "vocab_offset": AUDIO_OFFSET,
        "hidden_size": 128,
        "conf_num_hidden_layers": 5,
        "conf_num_attention_heads": 4,
        "sscp_conv_channel_size": [32, 16],
    }


def nano_config() -> Gemma3nConfig:
    config = Gemma3nConfig(
        text_config=text_config(),
        vision_config=vision_config(),
        audio_config=audio_config(),
        vision_soft_tokens_per_image=IMAGE_SLOTS,
        audio_soft_tokens_per_image=AUDIO_SLOTS,
        boi_token_id=START_OF_IMAGE,
        eoi_token_id=END_OF_IMAGE,
        image_token_id=IMAGE_TOKEN,
        boa_token_id=START_OF_AUDIO,
        eoa_token_id=END_OF_AUDIO,
        audio_token_id=AUDIO_TOKEN,
        tie_word_embeddings=True,
    )
    config.architectures = ["Gemma3nForConditionalGeneration"]
    return config
