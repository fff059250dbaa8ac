#!/usr/bin/env python3
"""Makes the held-out set: questions, pictures and clips that training never sees, from a fixed seed.

    make_held_out.py --pictures pictures.json.gz --out HELD_OUT [--each 100]

cases.json lists {"id", "task", "language", "system", "turns", "images", "audio", "accepted"}: turns are the user's and
the model's texts in order, the user's last. Pictures are PNG and JPEG files of many sizes, clips 16-bit WAV files.
Tasks "one picture" show new places, grounds and noise; "one picture, other style" also drawings of a style that
training never sees. Clips have sentences and voices that training never hears.
"""

import argparse
import json
import random
import sys
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "train"))

import questions
import sentences
import transcription
from conversations import AUDIO, IMAGE, LANGUAGE_SYSTEMS, Conversation
from drawing import Artist, load_gallery, pack_scenes
from prepare_pictures import HELD_OUT_STYLE, TRAINING_STYLES
from questions import Exchange
from picture_questions import Drawn, PictureTasks
from speech import SAMPLE_RATE, Speaker, place_clip, random_voice

# Enough to find every held-out wording of a task; some have fewer than are asked for
TRIES = 20_000
TEXT_TASKS = (questions.capital, questions.addition, questions.opposite, questions.definition)


class Writer:
    def __init__(self, out: Path) -> None:
        self.out = out
        self.cases: list[dict] = []

    def add(self, task: str, conversation: Conversation, accepted: list[str], images: list[str], audio: str | None) -> None:
        turns = []
        for parts, answer in conversation.turns:
            turns += ["".join(part for part in parts if part not in (IMAGE, AUDIO)), answer]
        self.cases.append({
            "id": len(self.cases), "task": task, "language": conversation.language, "system": conversation.system,
            "turns": turns[:-1], "images": images, "audio": audio, "accepted": [turns[-1], *accepted],
        })


def single(exchange: Exchange, language: str, system: str | None = None, asked: str | None = None) -> Conversation:
    return Conversation([([exchange.question[asked or language]], exchange.answer[language])], exchange.task, language, system)


def add_texts(writer: Writer, rng: random.Random, each: int) -> None:
    for language in ("en", "ko"):
        for make in TEXT_TASKS:
            asked: set[str] = set()
            for _ in range(TRIES):
                exchange = make(rng)
                if len(asked) < each // len(TEXT_TASKS) and questions.held_out(exchange.key) and exchange.key not in asked:
                    writer.add("text", single(exchange, language), [], [], None)
                    asked.add(exchange.key)
        for _ in range(each):
            other = "ko" if language == "en" else "en"
            exchange = questions.draw(rng, evaluation=True)
            system = LANGUAGE_SYSTEMS[language][0]
            writer.add("system message", single(exchange, language, system, asked=other), [], [], None)
            first, second = (questions.draw(rng, evaluation=True) for _ in range(2))
            turns = [([item.question[language]], item.answer[language]) for item in (first, second)]
            writer.add("two turns", Conversation(turns, "two turns", language), [], [], None)


def add_clips(writer: Writer, rng: random.Random, each: int) -> None:
    speaker = Speaker()
    for language in ("en", "ko"):
        count = 0
        while count < each:
            text = sentences.draw(rng, language, evaluation=True)
            placed = place_clip(rng, speaker.say(text, *random_voice(rng, language, evaluation=True)))
            if placed is None:
                continue
            samples = placed[0].astype(np.float32)
            noise = np.random.default_rng(count).normal(0, 1, len(samples)) * samples.std() * 10 ** (-rng.uniform(15, 40) / 20)
            samples = np.clip((samples + noise) * 10 ** (rng.uniform(-12, 3) / 20), -32768, 32767).astype("<i2")
            name = f"clip-{len(writer.cases)}.wav"
            with wave.open(str(writer.out / name), "wb") as file:
                file.setnchannels(1)
                file.setsampwidth(2)
                file.setframerate(SAMPLE_RATE)
                file.writeframes(samples.tobytes())
            writer.add("transcription", transcription.conversation(rng, text, language, evaluation=True), [], [], name)
            count += 1


def add_pictures(writer: Writer, rng: random.Random, each: int, pictures: Path, style: str, styles: list[str]) -> None:
    gallery, sprites = load_gallery(pictures, styles, 2)
    artist, tasks = Artist(sprites, torch.device("cpu")), PictureTasks(gallery)

    def of_kind(kind: str) -> Callable[[], Drawn]:
        return lambda: tasks.one(rng, kind, evaluation=True)

    makers = {"one picture": of_kind("thing")}
    if not style:
        makers |= {"colours and shapes": of_kind("shape"), "counting": of_kind("counting")}
        makers |= {task: lambda: tasks.two(rng, evaluation=True) for task in ("two pictures", "both pictures")}
    for task, make in makers.items():
        counts = {"en": 0, "ko": 0}
        while min(counts.values()) < each:
            drawn = make()
            conversation = drawn.conversation
            pair = len(drawn.scenes) == 2
            if conversation.system or counts[conversation.language] >= each or pair and conversation.task != task:
                continue
            counts[conversation.language] += 1
            pixels = artist.draw(pack_scenes(drawn.scenes), weather=False)
            names = [save(rng, writer, image) for image in pixels]
            accepted = [accept(name, conversation.language) for name in drawn.accepted]
            writer.add(task + style, conversation, accepted, names, None)


def accept(name: str, language: str) -> str:
    return name if language == "en" else f"{name}입니다."


def save(rng: random.Random, writer: Writer, pixels: torch.Tensor) -> str:
    """A file as people have them: of another size, with a camera's noise, as PNG or JPEG."""
    values = pixels.permute(1, 2, 0).numpy()
    values = values + np.random.default_rng(rng.randrange(2**31)).normal(0, rng.choice([0, 0.01, 0.03]), values.shape)
    image = Image.fromarray((np.clip(values, 0, 1) * 255).round().astype(np.uint8))
    size = rng.randint(200, 400)
    image = image.resize((size, size), Image.Resampling.BICUBIC)
    number = len(list(writer.out.glob("picture-*")))
    if rng.random() < 0.5:
        name = f"picture-{number}.jpg"
        image.save(writer.out / name, quality=rng.randint(40, 95))
    else:
        name = f"picture-{number}.png"
        image.save(writer.out / name)
    return name


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--each", type=int, default=100, help="cases of a task and language")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    writer, rng = Writer(options.out), random.Random(20_000)
    torch.manual_seed(20_000)
    add_texts(writer, rng, options.each)
    add_clips(writer, rng, options.each)
    add_pictures(writer, rng, options.each, options.pictures, "", TRAINING_STYLES)
    add_pictures(writer, rng, options.each, options.pictures, ", other style", [HELD_OUT_STYLE])
    (options.out / "cases.json").write_text(json.dumps(writer.cases, ensure_ascii=False, indent=0) + "\n")
    print(len(writer.cases), "cases")


if __name__ == "__main__":
    main()
