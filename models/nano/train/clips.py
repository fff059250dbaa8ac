"""A store of spoken sentences, made by many processes at once and kept in one file of samples."""

import json
import random
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import sentences
from speech import BINS, CLIP_SAMPLES, TOKENS, Speaker, phoneme_labels, place_clip, random_voice


@dataclass(frozen=True)
class Store:
    samples: np.ndarray  # [N, CLIP_SAMPLES] int16
    lengths: np.ndarray  # [N]
    phonemes: np.ndarray  # [N, TOKENS, BINS]
    texts: list[str]
    languages: list[str]


def make_part(job: tuple[str, int, int, int]) -> list[tuple[str, str]]:
    """Fills one part of the store; what its clips say."""
    folder, part, count, seed = job
    rng = random.Random(seed * 1_000_003 + part)
    speaker = Speaker()
    samples = np.zeros((count, CLIP_SAMPLES), np.int16)
    lengths = np.zeros(count, np.int32)
    phonemes = np.zeros((count, TOKENS, BINS), np.int16)
    said = []
    while len(said) < count:
        language = rng.choice(("en", "ko"))
        text = sentences.draw(rng, language, evaluation=False)
        spoken = speaker.say(text, *random_voice(rng, language, evaluation=False))
        placed = place_clip(rng, spoken)
        if placed is None:
            continue
        clip, lead = placed
        i = len(said)
        samples[i, : len(clip)] = clip
        lengths[i] = len(clip)
        phonemes[i] = phoneme_labels(spoken, lead)
        said.append((text, language))
    for name, values in (("samples", samples), ("lengths", lengths), ("phonemes", phonemes)):
        np.save(Path(folder) / f"{name}-{part}.npy", values)
    return said


def make_clips(folder: Path, count: int, workers: int, seed: int) -> None:
    """Writes the parts of a store and, last, its index. Nothing is done where the index is there."""
    folder.mkdir(parents=True, exist_ok=True)
    index = folder / "index.json"
    if index.exists():
        return
    parts = max(workers, count // 1000)
    jobs = [(str(folder), part, count // parts, seed) for part in range(parts)]
    with ProcessPoolExecutor(workers) as pool:
        said = [pair for pairs in pool.map(make_part, jobs) for pair in pairs]
    written = index.with_suffix(".part")
    written.write_text(json.dumps(said))
    written.rename(index)


def load_store(folder: Path) -> Store:
    said = json.loads((folder / "index.json").read_text())
    parts = len(list(folder.glob("samples-*.npy")))
    joined = {
        name: np.concatenate([np.load(folder / f"{name}-{part}.npy", mmap_mode="r") for part in range(parts)])
        for name in ("samples", "lengths", "phonemes")
    }
    return Store(**joined, texts=[text for text, _ in said], languages=[language for _, language in said])


if __name__ == "__main__":
    make_clips(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
