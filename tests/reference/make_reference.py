#!/usr/bin/env python3
"""Makes and checks the reference data of this folder with Transformers.

    pip install torch==2.11.* torchvision transformers==5.17.0 timm==1.0.29 pillow

    make_reference.py expected CHECKPOINT OUT   what Transformers computes with a checkpoint
    make_reference.py check                     does so again for tiny/ and tiny-text/, and compares
    make_reference.py checkpoint OUT [SEED]     a new checkpoint like tiny/, of random weights

Everything runs in float32 on the CPU. README.md describes the arrays.
"""

import json
import math
import shutil
import sys
import wave
from pathlib import Path

import numpy as np
import torch
import transformers
from PIL import Image
from safetensors.numpy import load_file, save_file
from transformers import (
    AutoConfig,
    AutoProcessor,
    AutoTokenizer,
    Gemma3nForCausalLM,
    Gemma3nForConditionalGeneration,
)

HERE = Path(__file__).resolve().parent
SYSTEM = "당신은 도움이 되는 어시스턴트입니다."
CAPITAL = "The capital of France is"
PLANTS = "식물은 특정 과정을 통해 에너지를 생성합니다."
FIBONACCI = "def fibonacci(n):\n    if n < 2:\n        return n\n"
WINDOW = " ".join(f"item {i} is {'blue' if i % 3 == 0 else 'red'};" for i in range(30))

TOKENIZER_SAMPLES = [
    "Hello  world", " leading", "trailing ", "tabs\tand\nnewlines\n\n", "emoji 😀 and 한국어, 中文",
    "", "a" * 40, "<start_of_turn>user\nhi<end_of_turn>\n", "x▁y", "1234567890 3.14",
]

# Largest differences that other builds of PyTorch make to float32 results:
# logits reach 30, the others are of order 1.
LOGITS_TOLERANCE = 5e-3
TOLERANCE = 1e-3


def picture(name):
    return Image.open(HERE / "media" / name).convert("RGB")


def sound(name):
    with wave.open(str(HERE / "media" / name)) as file:
        assert file.getsampwidth() == 2 and file.getnchannels() == 1
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    return samples.astype(np.float32) / 32768


def cases():
    """(name, new tokens, prompts): a prompt is a text, or the parts of a user's message."""
    cat, speech = picture("cat.png"), sound("speech-16k.wav")
    part = speech[20000:50000]
    return [
        ("text", 23, [CAPITAL]),
        ("korean", 11, [PLANTS]),
        ("window", 48, [WINDOW]),
        ("batch", 8, [CAPITAL, PLANTS, FIBONACCI]),
        ("chat", 16, [["Hello, who are you?"]]),
        ("image", 23, [[cat, "이 이미지에 무엇이 보이나요?"]]),
        ("images", 16, [[picture("china.jpg"), picture("flower.jpg"), "어떤 이미지가 더 귀엽습니까?"]]),
        ("audio", 24, [[speech, "Transcribe the audio."]]),
        ("long_audio", 8, [[sound("long35s.wav"), "What do you hear?"]]),
        ("mixed", 16, [[cat, speech, "Does the speech describe the picture?"]]),
        ("two_clips", 16, [["First:", speech, "second:", part, "Which clip is longer?"]]),
        ("audio_batch", 12, [
            [speech, "Transcribe."],
            [part, "Transcribe the audio and translate it into Korean."],
        ]),
    ]


def conversation(parts):
    def content(part):
        kind = {str: "text", np.ndarray: "audio"}.get(type(part), "image")
        return {"type": kind, kind: part}

    return [
        {"role": "system", "content": [{"type": "text", "text": SYSTEM}]},
        {"role": "user", "content": [content(part) for part in parts]},
    ]


def prepare(processor, prompts):
    """Model inputs, and the rendered prompt of a lone conversation."""
    if isinstance(prompts[0], str):
        return processor.tokenizer(prompts, padding=True, return_tensors="pt"), None
    conversations = [conversation(parts) for parts in prompts]
    rendered = processor.apply_chat_template(conversations, add_generation_prompt=True, tokenize=False)
    if len(prompts) > 1:
        # Rendered, then tokenized as plain text: these prompts have two <bos>,
        # the template's and the tokenizer's.
        clips = [part for parts in prompts for part in parts if isinstance(part, np.ndarray)]
        return processor(text=rendered, audio=clips, padding=True, return_tensors="pt"), None
    inputs = processor.apply_chat_template(
        conversations, add_generation_prompt=True, tokenize=True, return_dict=True,
        return_tensors="pt",
    )
    return inputs, rendered[0]


def encode_audio(model, name, inputs):
    out = {}
    encoded = model.model.get_audio_features(inputs["input_features"], ~inputs["input_features_mask"].bool())
    out[f"{name}.input_features"] = inputs["input_features"]
    out[f"{name}.input_features_mask"] = inputs["input_features_mask"].bool()
    out[f"{name}.audio_encoder"] = encoded.last_hidden_state
    out[f"{name}.audio_features"] = encoded.pooler_output
    out[f"{name}.audio_mask"] = encoded.audio_mel_mask
    return out


def layer_inputs(model, inputs):
    """[A, B, T, D] before each decoder layer and after the last."""
    states = []
    layers = model.model.language_model.layers
    hooks = [layer.register_forward_pre_hook(lambda _, args: states.append(args[0])) for layer in layers]
    hooks.append(layers[-1].register_forward_hook(lambda _, args, output: states.append(output)))
    model(**inputs)
    for hook in hooks:
        hook.remove()
    return states


def run_case(model, processor, name, new_tokens, prompts):
    inputs, prompt = prepare(processor, prompts)
    inputs = {key: value for key, value in inputs.items() if value is not None}
    out = {f"{name}.input_ids": inputs["input_ids"], f"{name}.attention_mask": inputs["attention_mask"]}
    is_text = isinstance(prompts[0], str)
    logits = model(**inputs).logits
    out[f"{name}.logits"] = logits if is_text else logits[:, -1:]
    if "pixel_values" in inputs:
        out[f"{name}.pixel_values"] = inputs["pixel_values"]
        out[f"{name}.image_features"] = model.model.get_image_features(inputs["pixel_values"]).pooler_output
    if "input_features" in inputs:
        out |= encode_audio(model, name, inputs)
    if name == "text":
        for i, state in enumerate(layer_inputs(model, inputs)):
            out[f"text.hidden_states.{i}"] = state
    generated = model.generate(
        **inputs, max_new_tokens=new_tokens, do_sample=False, output_logits=True, return_dict_in_generate=True,
    )
    new_ids = generated.sequences[:, inputs["input_ids"].shape[1]:]
    out[f"{name}.generated_ids"] = new_ids
    best = torch.stack(generated.logits).topk(2, dim=-1).values
    record = {
        "name": name,
        "new_tokens": new_tokens,
        "generated": processor.batch_decode(new_ids, skip_special_tokens=True),
        "min_margin": (best[..., 0] - best[..., 1]).min().item(),
    }
    return out, record | ({"prompt": prompt} if prompt else {})


def vision_variants(checkpoint, processor):
    """Image features at other sizes of the picture and of the adapter's output."""
    out = {}
    for name, size, resolution in [("vision768", 768, 16), ("vision_res8", 256, 8), ("vision_res12", 256, 12)]:
        config = AutoConfig.from_pretrained(checkpoint)
        config.vision_config.model_args = config.vision_config.model_args | {"msfa_output_resolution": resolution}
        config.vision_soft_tokens_per_image = resolution**2
        model = load(checkpoint, config=config)
        pixels = processor.image_processor(
            picture("cat.png"), size={"height": size, "width": size}, return_tensors="pt",
        )["pixel_values"]
        out[f"{name}.image_features"] = model.model.get_image_features(pixels).pooler_output
    return out


def load(checkpoint, **options):
    return Gemma3nForConditionalGeneration.from_pretrained(checkpoint, dtype=torch.float32, **options).eval()


@torch.no_grad()
def compute(checkpoint):
    """All arrays by name, and expected.json."""
    processor = AutoProcessor.from_pretrained(checkpoint)
    model = load(checkpoint)
    arrays, records = {}, []
    for name, new_tokens, prompts in cases():
        out, record = run_case(model, processor, name, new_tokens, prompts)
        arrays |= out
        records.append(record)
        print(name, record["min_margin"], record["generated"], flush=True)
    speech = sound("speech-16k.wav")
    clips = processor.feature_extractor([speech, speech[20000:50000]], return_tensors="pt")
    arrays |= encode_audio(model, "clips", clips)
    arrays |= vision_variants(checkpoint, processor)
    tokenizer = processor.tokenizer
    samples = [
        {"text": text, "ids": (ids := tokenizer(text)["input_ids"]),
         "decoded": tokenizer.decode(ids, skip_special_tokens=True)}
        for text in TOKENIZER_SAMPLES
    ]
    versions = {"transformers": transformers.__version__, "torch": torch.__version__}
    return (
        {name: np.ascontiguousarray(value.numpy()) for name, value in arrays.items()},
        versions | {"cases": records, "tokenizer": samples},
    )


@torch.no_grad()
def compute_text(checkpoint):
    """The arrays of tiny-text/expected.safetensors."""
    model = Gemma3nForCausalLM.from_pretrained(checkpoint, dtype=torch.float32).eval()
    ids = AutoTokenizer.from_pretrained(checkpoint)(CAPITAL, return_tensors="pt")["input_ids"]
    return {"input_ids": ids.numpy(), "logits": model(ids).logits.numpy()}


def write_expected(checkpoint, out):
    arrays, summary = compute(checkpoint)
    out.mkdir(parents=True, exist_ok=True)
    save_file(arrays, out / "expected.safetensors")
    (out / "expected.json").write_text(json.dumps(summary, ensure_ascii=False, indent=1) + "\n")


def check():
    """Compares the expected files with what Transformers computes here; whether they agree."""
    arrays, summary = compute(HERE / "tiny")
    failures = compare_arrays(arrays, load_file(HERE / "expected" / "expected.safetensors"))
    recorded = json.loads((HERE / "expected" / "expected.json").read_text())
    failures += compare_records(summary, recorded)
    text = compute_text(HERE / "tiny-text")
    failures += compare_arrays(text, load_file(HERE / "tiny-text" / "expected.safetensors"))
    return failures == 0


def compare_arrays(arrays, expected):
    failures = 0
    for name, wanted in sorted(expected.items()):
        found = arrays.get(name)
        if found is None or found.shape != wanted.shape:
            difference = math.inf
        elif wanted.dtype != np.float32:
            difference = int((found != wanted).sum())
        else:
            difference = np.abs(visible(name, found, arrays) - visible(name, wanted, arrays)).max().item()
        exact = wanted.dtype != np.float32 or name.endswith("pixel_values")
        limit = 0 if exact else LOGITS_TOLERANCE if name.endswith("logits") else TOLERANCE
        failed = not difference <= limit
        failures += failed
        print(f"{'FAIL' if failed else 'ok  '} {name} {difference:.2g}")
    return failures


def compare_records(summary, recorded):
    failures = 0
    for key in ["cases", "tokenizer"]:
        for wanted, found in zip(recorded[key], summary[key], strict=True):
            for field in set(wanted) - {"min_margin"}:
                if wanted[field] != found.get(field):
                    failures += 1
                    print(f"FAIL {key} {field}: {wanted[field]!r}, here {found.get(field)!r}")
    return failures


def visible(name, values, arrays):
    """Logits of padded places mean nothing."""
    if not name.endswith("logits"):
        return values
    mask = arrays.get(name.removesuffix("logits") + "attention_mask")
    return values if mask is None or mask.shape != values.shape[:2] else values[mask == 1]


@torch.no_grad()
def write_checkpoint(out, seed):
    """Random weights for tiny/'s config, none of them at a value that hides a mistake."""
    torch.manual_seed(seed)
    model = Gemma3nForConditionalGeneration(AutoConfig.from_pretrained(HERE / "tiny"))
    for name, parameter in model.named_parameters():
        noise = torch.randn_like(parameter)
        if parameter.dim() > 1:
            fan_in = parameter[0].numel()
            parameter.copy_(noise if "embed" in name and "proj" not in name else noise / math.sqrt(fan_in))
        else:
            parameter.copy_((0 if "per_dim_scale" in name else 1) + noise / 4)
    out.mkdir(parents=True, exist_ok=True)
    model.to(torch.bfloat16).save_pretrained(out, max_shard_size="4MB")
    for path in (HERE / "tiny").iterdir():
        if path.name not in {"config.json", "model.safetensors.index.json"} and path.suffix != ".safetensors":
            shutil.copy(path, out / path.name)


def main(arguments):
    match arguments:
        case ["expected", checkpoint, out]:
            write_expected(Path(checkpoint), Path(out))
        case ["check"]:
            return 0 if check() else 1
        case ["checkpoint", out]:
            write_checkpoint(Path(out), 0)
        case ["checkpoint", out, seed]:
            write_checkpoint(Path(out), int(seed))
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
