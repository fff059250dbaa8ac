#!/usr/bin/env python3
"""Trains the tokenizer on the texts of all tasks, and writes the files that a processor is loaded from.

    make_tokenizer.py OUT

Gemma's arrangement: BPE with byte fallback over text whose spaces are "▁", special tokens first, tokens of pictures and
sound after the text vocabulary. Digits stay single.
"""

import json
import random
import shutil
import sys
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

import questions
import sentences
from configuration import AUDIO_OFFSET, AUDIO_SLOTS, BOS, IMAGE_OFFSET, IMAGE_SIZE, IMAGE_SLOTS, MEDIA_TOKENS, TEXT_VOCABULARY
from conversations import AGAIN, AUDIO, IMAGE, LANGUAGE_SYSTEMS, NAMES, NEUTRAL_SYSTEMS, introduction, pose
from objects import load_things
from picture_questions import NAMING, WHICH
from transcription import PROMPTS

FIRST_TOKENS = [
    "<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "<start_of_turn>", "<end_of_turn>", "<start_of_image>", "<start_of_audio>",
]
MARKS = [chr(code) for code in range(0x20, 0x7F)] + ["\n", "\t"]
TEXTS = 40_000
FILES = Path(__file__).resolve().parent / "files"


def texts(rng: random.Random) -> list[str]:
    out = []
    for _ in range(TEXTS):
        exchange = questions.draw(rng, evaluation=False)
        out.append(pose(rng, exchange, []).prompt()[0])
        out.append(sentences.draw(rng, rng.choice(("en", "ko")), evaluation=False))
    for _ in range(600):
        out.append(introduction(rng).prompt()[0])
    tables = (NAMING, WHICH, PROMPTS, NEUTRAL_SYSTEMS, LANGUAGE_SYSTEMS, AGAIN)
    out += [f"{text}\n\n" for table in tables for group in table.values() for text in group] * 20
    for thing in load_things():
        out += [f"{thing.phrase[0].upper()}{thing.phrase[1:]}.", f"Which picture shows {thing.phrase}?"] * 4
        out += [f"{name}입니다. 어느 그림에 {name} 있나요?" for name in thing.korean] * 4
    out += [f"user\n\n\n{name} model\n" for pair in NAMES for name in pair]
    return out


def added(identifier: int, content: str) -> dict:
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {"id": identifier, "content": content, **flags}


def media_tokens() -> list[str]:
    unused = range(MEDIA_TOKENS - 2)
    image = ["<end_of_image>", "<image_soft_token>", *(f"<vision_unused{i}>" for i in unused)]
    return image + ["<end_of_audio>", "<audio_soft_token>", *(f"<audio_unused{i}>" for i in unused)]


def train(corpus: list[str]) -> dict:
    """The BPE model: special tokens, bytes, then letters and merges."""
    byte_tokens = [f"<0x{byte:02X}>" for byte in range(256)]
    size = TEXT_VOCABULARY - len(FIRST_TOKENS) - len(byte_tokens)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    # Pieces for training alone: words with the space before them, single digits, runs of newlines.
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex("<[a-z_]+>"), "removed"),
        pre_tokenizers.Split(Regex("[0-9]|\n+|▁?[^▁\n0-9.,?!:'\"+=]+|."), "isolated"),
    ])
    alphabet = [" " if mark == "▁" else mark for mark in MARKS if mark != " "]
    trainer = trainers.BpeTrainer(vocab_size=size, initial_alphabet=alphabet, special_tokens=[], min_frequency=2, show_progress=False)
    tokenizer.train_from_iterator(corpus, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    learned = [token for token, _ in sorted(model["vocab"].items(), key=lambda pair: pair[1])]
    vocabulary = FIRST_TOKENS + byte_tokens + learned
    spare = TEXT_VOCABULARY - len(vocabulary)
    vocabulary += [f"<unused{i}>" for i in range(spare)]
    print(f"{len(learned)} tokens learned, {len(model['merges'])} merges, {spare} to spare")
    return {
        "type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None, "end_of_word_suffix": None,
        "fuse_unk": True, "byte_fallback": True, "ignore_merges": False,
        "vocab": {token: i for i, token in enumerate(vocabulary)}, "merges": model["merges"],
    }


def tokenizer_file(model: dict) -> dict:
    media = media_tokens()
    special = [added(i, content) for i, content in enumerate(FIRST_TOKENS)]
    special += [added(IMAGE_OFFSET + i, content) for i, content in enumerate(media)]
    assert AUDIO_OFFSET + MEDIA_TOKENS == IMAGE_OFFSET + len(media)
    bos = {"SpecialToken": {"id": "<bos>", "type_id": 0}}

    def part(name: str) -> dict:
        return {"Sequence": {"id": name, "type_id": 0}}

    return {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": special,
        "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
        "pre_tokenizer": {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False},
        "post_processor": {
            "type": "TemplateProcessing", "single": [bos, part("A")], "pair": [bos, part("A"), bos, part("B")],
            "special_tokens": {"<bos>": {"id": "<bos>", "ids": [BOS], "tokens": ["<bos>"]}},
        },
        "decoder": json.loads(decoders.Sequence([
            decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
        ]).__getstate__()),
        "model": model,
    }


def write_json(path: Path, value: dict) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n")


def main(out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    model = train(texts(random.Random(0)))
    write_json(out / "tokenizer.json", tokenizer_file(model))
    for name in ("tokenizer_config.json", "chat_template.jinja", "generation_config.json"):
        shutil.copy(FILES / name, out / name)
    processor = json.loads((FILES / "processor_config.json").read_text())
    processor |= {"audio_seq_length": AUDIO_SLOTS, "image_seq_length": IMAGE_SLOTS}
    processor["image_processor"] |= {"image_seq_length": IMAGE_SLOTS, "size": {"height": IMAGE_SIZE, "width": IMAGE_SIZE}}
    write_json(out / "processor_config.json", processor)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
