#!/usr/bin/env python3
"""Compares packed rows with Gemma3nForConditionalGeneration on each conversation alone, with random weights on the CPU.

    test_forward.py TOKENIZER
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer

from album import compose
from album_batches import AlbumMixer
from batches import Clips, Recipe
from configuration import AUDIO_TOKEN, IMAGE_SLOTS, IMAGE_TOKEN, IMAGE_SIZE
from drawing import SPRITE, Artist, draw_shape, pack_scenes
from forward import Trainee
from objects import load_things
from scenes import SHAPES, Gallery
from source import trial_batch
from start import build

TOLERANCE = 1e-4


def shapes_as_things() -> tuple[Gallery, np.ndarray]:
    """A gallery that needs no files: every thing is drawn as one of the shapes."""
    things = load_things()
    sprites = np.stack([draw_shape(english) for english, _ in SHAPES])
    assert sprites.shape[1:] == (SPRITE, SPRITE, 4)
    return Gallery(things, [[i % len(SHAPES)] for i in range(len(things))], 0), sprites


def conversations_of(segments: torch.Tensor, branches: torch.Tensor) -> Iterator[torch.Tensor]:
    """Masks [T] of the conversations of a row: each branch with what its segment shares."""
    for segment in range(int(segments.max()) + 1):
        inside = segments == segment
        for branch in set(branches[inside].tolist()) - {0} or {0}:
            yield inside & ((branches == 0) | (branches == branch))


def alone(trainee: Trainee, batch: dict[str, torch.Tensor], ids: torch.Tensor, media: torch.Tensor) -> torch.Tensor:
    """Logits of one conversation, by Transformers."""
    inputs = {"input_ids": ids[None], "attention_mask": torch.ones_like(ids)[None]}
    if (ids == IMAGE_TOKEN).any():
        inputs["pixel_values"] = batch["pixels"][(media[ids == IMAGE_TOKEN] // IMAGE_SLOTS).unique()]
    if (ids == AUDIO_TOKEN).any():
        inputs |= {"input_features": batch["mel"], "input_features_mask": ~batch["padded"]}
    return trainee.model(**inputs).logits[0]


@torch.no_grad()
def largest_difference(trainee: Trainee, batch: dict[str, torch.Tensor]) -> float:
    assert batch["pixels"].shape[-1] == IMAGE_SIZE
    images = trainee.pictures(batch["pixels"])
    sounds, padding = trainee.sounds(batch["mel"], batch["padded"])
    features = torch.cat([images.flatten(0, 1), sounds.flatten(0, 1), padding])
    embeds, per_layer = trainee.embed(batch["ids"], batch["media"], features)
    packed = trainee.logits(trainee.decode(embeds, per_layer, batch)[0])
    largest = 0.0
    for row, segments in enumerate(batch["segments"]):
        for places in conversations_of(segments, batch["branches"][row]):
            logits = alone(trainee, batch, batch["ids"][row][places], batch["media"][row][places])
            largest = max(largest, (logits - packed[row][places]).abs().max().item())
    return largest


@torch.no_grad()
def main(tokenizer: str) -> float:
    gallery, sprites = shapes_as_things()
    recipe = Recipe(single=1, double=1, audio=1, text=1)
    trainee = build(0, None, len(gallery.things))
    # Weights that start at one value hide mistakes.
    for parameter in trainee.model.parameters():
        if parameter.dim() == 1:
            parameter.add_(torch.randn_like(parameter) / 10)
    artist = Artist(sprites, torch.device("cpu"))
    batch = trial_batch(tokenizer, gallery, recipe, artist)
    album = compose(gallery, 2, 0)
    mixer = AlbumMixer(Tokenizer.from_file(tokenizer), gallery, album, Clips(["Go left."], ["en"]), recipe, 0)
    grouped = {name: torch.from_numpy(values) for name, values in mixer.batch().items()}
    assert grouped["branches"].max() > 1
    shown = [album.pictures[place].scene for place in grouped["pictures"].tolist()]
    grouped |= {"pixels": artist.draw(pack_scenes(shown)), "mel": batch["mel"], "padded": batch["padded"]}
    return max(largest_difference(trainee, batch), largest_difference(trainee, grouped))


if __name__ == "__main__":
    difference = main(str(Path(sys.argv[1]) / "tokenizer.json"))
    print(f"largest difference of logits {difference:.2g}")
    sys.exit(0 if difference < TOLERANCE else 1)
