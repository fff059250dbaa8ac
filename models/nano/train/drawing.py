"""Draws scenes with PyTorch, many at a time: sprites over grounds, then the noise, blur and JPEG of the world.

All on one device, values 0 to 1, [N, 3, 256, 256] out.
"""

import gzip
import io
import json
import math
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw

from objects import load_things
from scenes import BLOTCHES, GRADIENT, MAX_ITEMS, NOISE, SHAPES, SIZE, SOLID, STRIPES, Gallery, Scene

SPRITE = 128
JPEG_LUMA = torch.tensor([
    [16, 11, 10, 16, 24, 40, 51, 61], [12, 12, 14, 19, 26, 58, 60, 55], [14, 13, 16, 24, 40, 57, 69, 56], [14, 17, 22, 29, 51, 87, 80, 62],
    [18, 22, 37, 56, 68, 109, 103, 77], [24, 35, 55, 64, 81, 104, 113, 92], [49, 64, 78, 87, 103, 121, 120, 101],
    [72, 92, 95, 98, 112, 100, 103, 99],
], dtype=torch.float32)
TO_YCC = torch.tensor([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])


def rasterize(svg: str) -> np.ndarray:
    """RGBA [128, 128, 4] of an SVG text."""
    import resvg_py

    data = bytes(resvg_py.svg_to_bytes(svg_string=svg, width=SPRITE, height=SPRITE))
    image = Image.open(io.BytesIO(data)).convert("RGBA")
    if image.size != (SPRITE, SPRITE):
        square = Image.new("RGBA", (SPRITE, SPRITE))
        image.thumbnail((SPRITE, SPRITE))
        square.paste(image, ((SPRITE - image.width) // 2, (SPRITE - image.height) // 2))
        image = square
    return np.asarray(image)


def draw_shape(name: str) -> np.ndarray:
    big = Image.new("L", (4 * SPRITE, 4 * SPRITE))
    draw = ImageDraw.Draw(big)
    low, high, middle = 0.1 * 4 * SPRITE, 0.9 * 4 * SPRITE, 2 * SPRITE
    third = (high - low) / 3
    match name:
        case "circle":
            draw.ellipse([low, low, high, high], fill=255)
        case "square":
            draw.rectangle([low, low, high, high], fill=255)
        case "triangle":
            draw.polygon([(middle, low), (high, high), (low, high)], fill=255)
        case "diamond":
            draw.polygon([(middle, low * 0.4), (high * 0.88, middle), (middle, 4 * SPRITE - low * 0.4), (low + high * 0.1, middle)], fill=255)
        case "oval":
            draw.ellipse([low * 0.3, middle - 1.1 * third, 4 * SPRITE - low * 0.3, middle + 1.1 * third], fill=255)
        case "cross":
            draw.rectangle([low + third, low, high - third, high], fill=255)
            draw.rectangle([low, low + third, high, high - third], fill=255)
    mask = np.asarray(big.resize((SPRITE, SPRITE), Image.Resampling.LANCZOS))
    return np.dstack([np.full((SPRITE, SPRITE, 3), 255, np.uint8), mask])


def load_gallery(path: Path, styles: list[str], workers: int = 8) -> tuple[Gallery, np.ndarray]:
    """The gallery of some styles, and its sprites [N, 128, 128, 4] uint8, shapes last."""
    with gzip.open(path, "rt") as file:
        drawings = json.load(file)
    things = load_things()
    svgs: list[str] = []
    sprites: list[list[int]] = [[] for _ in things]
    for style in styles:
        for i, texts in enumerate(drawings[style]):
            sprites[i].extend(range(len(svgs), len(svgs) + len(texts)))
            svgs.extend(texts)
    with ProcessPoolExecutor(workers) as pool:
        images = list(pool.map(rasterize, svgs, chunksize=16))
    images += [draw_shape(english) for english, _ in SHAPES]
    return Gallery(things, sprites, len(svgs)), np.stack(images)


def pack_scenes(scenes: list[Scene]) -> np.ndarray:
    """[N, 7 + 9 * 5] float32: kind, two colours, and for each item sprite (-1: none), centre, size, angle, mirror, tint."""
    out = np.full((len(scenes), 7 + 9 * MAX_ITEMS), -1, np.float32)
    for row, scene in zip(out, scenes):
        row[0] = scene.background
        row[1:7] = np.array(scene.colours, np.float32).ravel() / 255
        for i, item in enumerate(scene.items):
            tint = (-1, -1, -1) if item.tint is None else tuple(channel / 255 for channel in item.tint)
            row[7 + 9 * i : 16 + 9 * i] = (item.sprite, item.x, item.y, item.size, item.angle, float(item.mirrored), *tint)
    return out


class Artist:
    """Draws packed scenes on a device."""

    def __init__(self, sprites: np.ndarray, device: torch.device) -> None:
        self.device = device
        colour = torch.from_numpy(sprites).to(device).permute(0, 3, 1, 2)
        self.large = colour.contiguous()
        self.small = F.interpolate(self.premultiplied(colour), scale_factor=0.5, mode="area")
        axis = (torch.arange(SIZE, device=device) + 0.5) / SIZE
        self.y, self.x = torch.meshgrid(axis, axis, indexing="ij")
        index = torch.arange(8, dtype=torch.float32)
        dct = torch.cos((2 * index[None] + 1) * index[:, None] * math.pi / 16) * math.sqrt(2 / 8)
        dct[0] /= math.sqrt(2)
        self.dct, self.luma, self.to_ycc = dct.to(device), JPEG_LUMA.to(device), TO_YCC.to(device)
        self.middle = torch.tensor([128.0, 0, 0], device=device)[:, None, None]
        self.chroma = torch.tensor([1.0, 1.6, 1.6], device=device)[None, :, None, None, None, None]
        self.from_ycc = torch.linalg.inv(TO_YCC).to(device)

    @staticmethod
    def premultiplied(sprites: torch.Tensor) -> torch.Tensor:
        values = sprites.to(torch.float16) / 255
        return torch.cat([values[:, :3] * values[:, 3:], values[:, 3:]], 1)

    def send(self, values: np.ndarray) -> torch.Tensor:
        tensor = torch.from_numpy(np.ascontiguousarray(values))
        return tensor.pin_memory().to(self.device, non_blocking=True) if self.device.type == "cuda" else tensor

    def random(self, *shape: int) -> torch.Tensor:
        return torch.rand(shape, device=self.device)

    def grounds(self, scenes: torch.Tensor) -> torch.Tensor:
        n = len(scenes)
        kind = scenes[:, 0].long()[:, None, None]
        first, second = scenes[:, 1:4, None, None], scenes[:, 4:7, None, None]
        angle = self.random(n, 1, 1) * 2 * math.pi
        along = (self.x - 0.5) * angle.cos() + (self.y - 0.5) * angle.sin()
        gradient = (along / 1.4 + 0.5).clamp(0, 1)
        stripes = (torch.sin(along * (12 + 60 * self.random(n, 1, 1))) * 6).clamp(-1, 1) / 2 + 0.5
        blotches = F.interpolate(self.random(n, 1, 6, 6), size=SIZE, mode="bicubic")[:, 0]
        fine = F.interpolate(self.random(n, 1, 64, 64), size=SIZE, mode="bilinear")[:, 0]
        mix = torch.zeros(n, SIZE, SIZE, device=self.device)
        for number, values in ((GRADIENT, gradient), (STRIPES, stripes), (BLOTCHES, blotches), (NOISE, fine)):
            mix = torch.where(kind == number, values, mix)
        mix = mix[:, None]
        return first * (1 - mix) + second * mix

    def repainted(self, layer: torch.Tensor, items: torch.Tensor) -> torch.Tensor:
        """Some of the drawings in slightly other colours, a few in grey: other styles use other palettes."""
        n = len(layer)
        gains = 1 + (self.random(n, 3, 1, 1) - 0.5) * 0.6 * (self.random(n, 1, 1, 1) < 0.4)
        colour = (layer[:, :3] * gains).clamp(0, 1)
        grey = colour.mean(1, keepdim=True).expand_as(colour)
        colour = torch.where(self.random(n, 1, 1, 1) < 0.04, grey, colour)
        return torch.cat([torch.minimum(colour, layer[:, 3:]), layer[:, 3:]], 1)

    def paste(self, pictures: torch.Tensor, items: torch.Tensor) -> torch.Tensor:
        """`items` [n, 9] over `pictures` [n, 3, 256, 256]."""
        sprite, x, y, size, angle, mirrored = (items[:, i] for i in range(6))
        radians = angle * math.pi / 180
        cos, sin = radians.cos() * SIZE / size, radians.sin() * SIZE / size
        sign = 1 - 2 * mirrored
        dx, dy = -(2 * x / SIZE - 1), -(2 * y / SIZE - 1)
        theta = torch.stack([
            torch.stack([sign * cos, sign * sin, sign * (cos * dx + sin * dy)], 1),
            torch.stack([-sin, cos, -sin * dx + cos * dy], 1),
        ], 1)
        grid = F.affine_grid(theta, [len(items), 4, SIZE, SIZE], align_corners=False).half()
        index = sprite.long()
        large = F.grid_sample(self.premultiplied(self.large[index]), grid, align_corners=False)
        small = F.grid_sample(self.small[index], grid, align_corners=False)
        layer = torch.where(size[:, None, None, None] > 90, large, small).float()
        layer = self.repainted(layer, items)
        tint = items[:, 6:9, None, None]
        colour = torch.where(tint < 0, layer[:, :3], tint.clamp(min=0) * layer[:, 3:])
        return pictures * (1 - layer[:, 3:]) + colour

    def jpeg(self, pictures: torch.Tensor) -> torch.Tensor:
        """What a JPEG file of quality 25 to 95 leaves, without its chroma subsampling."""
        n = len(pictures)
        quality = 25 + 70 * self.random(n)
        scale = torch.where(quality < 50, 50 / quality, 2 - quality / 50)
        table = (self.luma * scale[:, None, None]).clamp(min=1)[:, None, None, None]
        ycc = torch.einsum("ck,nkyx->ncyx", self.to_ycc, pictures * 255) - self.middle
        blocks = ycc.reshape(n, 3, SIZE // 8, 8, SIZE // 8, 8).permute(0, 1, 2, 4, 3, 5)
        coefficients = self.dct @ blocks @ self.dct.T
        step = table * self.chroma
        blocks = self.dct.T @ (torch.round(coefficients / step) * step) @ self.dct
        ycc = blocks.permute(0, 1, 2, 4, 3, 5).reshape(n, 3, SIZE, SIZE) + self.middle
        return torch.einsum("ck,nkyx->ncyx", self.from_ycc, ycc) / 255

    def weather(self, pictures: torch.Tensor) -> torch.Tensor:
        """Small changes of light, blur, noise and JPEG, each to some of the pictures."""
        n = len(pictures)
        some = lambda share: (self.random(n) < share)[:, None, None, None]
        contrast = 1 + (self.random(n, 1, 1, 1) - 0.5) * 0.3
        light = (self.random(n, 1, 1, 1) - 0.5) * 0.12
        pictures = torch.where(some(0.4), (pictures - 0.5) * contrast + 0.5 + light, pictures)
        blurred = F.interpolate(F.interpolate(pictures, size=128, mode="area"), size=SIZE, mode="bilinear")
        pictures = torch.where(some(0.15), blurred, pictures)
        pictures = torch.where(some(0.35), self.jpeg(pictures), pictures)
        noise = torch.randn_like(pictures) * 0.06 * self.random(n, 1, 1, 1)
        pictures = torch.where(some(0.3), pictures + noise, pictures)
        return (pictures.clamp(0, 1) * 255).round() / 255

    @torch.no_grad()
    def draw(self, scenes: np.ndarray, *, weather: bool = True) -> torch.Tensor:
        packed = self.send(scenes)
        pictures = self.grounds(packed)
        for i in range(MAX_ITEMS):
            # Chosen on the host, so that nothing waits for the device.
            chosen = np.flatnonzero(scenes[:, 7 + 9 * i] >= 0)
            if len(chosen):
                rows = self.send(chosen)
                pictures[rows] = self.paste(pictures[rows], packed[rows, 7 + 9 * i : 16 + 9 * i])
        return self.weather(pictures) if weather else pictures.clamp(0, 1)
