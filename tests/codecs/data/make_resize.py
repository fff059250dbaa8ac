"""Writes resize.json: what torchvision makes of seeded noise.

Needs torch and torchvision. The noise is that of `noise()` in
tests/codecs/resize_image_test.ts.
"""

import json
from pathlib import Path

import torch
from torchvision.transforms.v2 import functional
from torchvision.transforms import InterpolationMode

# (width, height) to (width, height)
CASES = [
    ((1, 1), (4, 3)),
    ((17, 9), (5, 7)),
    ((5, 7), (16, 11)),
    ((3, 50), (20, 3)),
    ((37, 23), (16, 16)),
    ((64, 2), (7, 9)),
    ((33, 33), (32, 34)),
    ((200, 150), (13, 9)),
]


def noise(length):
    state, values = 1, []
    for _ in range(length):
        state = (state * 1664525 + 1013904223) % 2**32
        values.append(state >> 24)
    return values


def resize(size, new_size):
    (width, height), (new_width, new_height) = size, new_size
    pixels = torch.tensor(noise(width * height * 3), dtype=torch.uint8)
    picture = pixels.reshape(height, width, 3).permute(2, 0, 1).contiguous()
    resized = functional.resize(
        picture, [new_height, new_width], InterpolationMode.BILINEAR, antialias=True
    )
    return resized.permute(1, 2, 0).flatten().tolist()


cases = [
    {"size": size, "newSize": new_size, "expected": resize(size, new_size)}
    for size, new_size in CASES
]
Path(__file__).with_name("resize.json").write_text(json.dumps(cases) + "\n")
