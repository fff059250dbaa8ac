#!/usr/bin/env python3
"""Compares packed rows with Gemma3nForConditionalGeneration on each conversation alone, with random weights on the CPU.

    test_forward.py TOKENIZER
"""

import sys
from pathlib import Path

import numpy as np
import torch

from batches import Recipe
from configuration import AUDIO_TOKEN, IMAGE_SLOTS, IMAGE_TOKEN, IMAGE_SIZE
from drawing import SPRITE, Artist, draw_shape
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


@torch.no_grad()
def largest_difference(tokenizer: str) -> float:
    gallery, sprites = shapes_as_things()
    recipe = Recipe(single=1, double=1, audio=1, text=1)
    trainee = build(0, None, len(gallery.things))
    # Weights that start at one value hide mistakes.
    for parameter in trainee.model.parameters():
        if parameter.dim() == 1:
            parameter.add_(torch.randn_like(parameter) / 10)
    batch = trial_batch(tokenizer, gallery, recipe, Artist(sprites, torch.device("cpu")))
    assert batch["pixels"].shape[-1] == IMAGE_SIZE
    images = trainee.pictures(batch["pixels"])
    sounds, padding = trainee.sounds(batch["mel"], batch["padded"])
    features = torch.cat([images.flatten(0, 1), sounds.flatten(0, 1), padding])
    embeds, per_layer = trainee.embed(batch["ids"], batch["media"], features)
    packed = trainee.logits(trainee.decode(embeds, per_layer, batch["segments"], batch["positions"]))
    largest, shown = 0.0, 0
    for row, segments in enumerate(batch["segments"]):
        for segment in range(int(segments.max()) + 1):
            places = segments == segment
            ids = batch["ids"][row][places][None]
            inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
            pictures = int((ids == IMAGE_TOKEN).sum()) // IMAGE_SLOTS
            if pictures:
                inputs["pixel_values"] = batch["pixels"][shown : shown + pictures]
                shown += pictures
            if (ids == AUDIO_TOKEN).any():
                inputs |= {"input_features": batch["mel"], "input_features_mask": ~batch["padded"]}
            alone = trainee.model(**inputs).logits[0]
            largest = max(largest, (alone - packed[row][places]).abs().max().item())
    return largest


if __name__ == "__main__":
    difference = largest_difference(str(Path(sys.argv[1]) / "tokenizer.json"))
    print(f"largest difference of logits {difference:.2g}")
    sys.exit(0 if difference < TOLERANCE else 1)
