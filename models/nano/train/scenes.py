"""What pictures hold, before they are drawn: a background and up to five items."""

import random
from dataclasses import dataclass

from languages import COLOURS
from objects import Thing

SIZE = 256
MAX_ITEMS = 5
SHAPES = [("circle", "원"), ("square", "정사각형"), ("triangle", "삼각형"), ("cross", "십자"), ("diamond", "마름모"), ("oval", "타원")]
SOLID, GRADIENT, BLOTCHES, STRIPES, NOISE = range(5)

RGB = {
    "red": (222, 30, 35), "orange": (250, 135, 15), "yellow": (250, 222, 40), "green": (40, 160, 60), "blue": (35, 85, 220),
    "purple": (130, 45, 175), "pink": (252, 150, 195), "brown": (120, 72, 35), "black": (18, 18, 18), "white": (250, 250, 250),
    "gray": (130, 130, 130),
}
JITTER = 16

@dataclass(frozen=True)
class Item:
    """A sprite at a place: centre, width and height of its square in pixels, degrees, mirrored or not, tint or none."""

    sprite: int
    x: float
    y: float
    size: float
    angle: float
    mirrored: bool
    tint: tuple[int, int, int] | None = None


@dataclass(frozen=True)
class Scene:
    background: int
    colours: tuple[tuple[int, int, int], tuple[int, int, int]]
    items: tuple[Item, ...]


@dataclass(frozen=True)
class Gallery:
    """The sprites of each thing, and where those of the shapes start."""

    things: list[Thing]
    sprites: list[list[int]]
    first_shape: int

    @property
    def available(self) -> list[int]:
        return [i for i, sprites in enumerate(self.sprites) if sprites]


def jittered(rng: random.Random, colour: str) -> tuple[int, int, int]:
    return tuple(min(255, max(0, channel + rng.randint(-JITTER, JITTER))) for channel in RGB[colour])


def any_colour(rng: random.Random) -> tuple[int, int, int]:
    return tuple(rng.randint(0, 255) for _ in range(3))


def any_background(rng: random.Random) -> tuple[int, tuple]:
    kind = rng.random()
    if kind < 0.3:
        return SOLID, ((255, 255, 255),) * 2
    if kind < 0.5:
        colour = any_colour(rng)
        return SOLID, (colour, colour)
    return rng.choice([GRADIENT, BLOTCHES, STRIPES, NOISE]), (any_colour(rng), any_colour(rng))


def place(rng: random.Random, sprite: int, low: float = 84, high: float = 240, tint=None) -> Item:
    size = rng.uniform(low, high)
    # Large items may lose a little at the edge.
    margin = size / 2 * 0.9
    x, y = (rng.uniform(margin, SIZE - margin) if margin < SIZE / 2 else SIZE / 2 for _ in range(2))
    return Item(sprite, x, y, size, rng.gauss(0, 9), rng.random() < 0.3, tint)


def scatter(rng: random.Random, sprite: int, count: int, tint=None) -> tuple[Item, ...]:
    """Copies of one sprite that do not touch."""
    while True:
        size = rng.uniform(52, 100 if count < 4 else 84)
        items: list[Item] = []
        for _ in range(60):
            x, y = (rng.uniform(size / 2, SIZE - size / 2) for _ in range(2))
            if all(max(abs(x - other.x), abs(y - other.y)) > size * 1.08 for other in items):
                items.append(Item(sprite, x, y, size * rng.uniform(0.9, 1.0), rng.gauss(0, 8), False, tint))
            if len(items) == count:
                return tuple(items)


Colour = tuple[str, str, str]


@dataclass(frozen=True)
class Picture:
    """A scene and what is true of it: which thing of the gallery it shows (-1: a shape), how often, in which colours."""

    kind: str
    scene: Scene
    thing: int
    count: int = 1
    shape: int = -1
    colour: Colour | None = None
    ground: Colour | None = None


class Studio:
    """Makes pictures of the things of a gallery, of shapes, of several things to count, of things on a ground of one colour."""

    KINDS = ("thing", "shape", "counting", "ground")
    SHARES = (0.62, 0.17, 0.15, 0.06)

    def __init__(self, gallery: Gallery) -> None:
        self.gallery, self.available = gallery, gallery.available
        # From 1, large things on plain grounds, to 0
        self.ease = 0.0

    def picture(self, rng: random.Random, kind: str) -> Picture:
        return getattr(self, kind)(rng)

    def any(self, rng: random.Random) -> Picture:
        return self.picture(rng, rng.choices(self.KINDS, self.SHARES)[0])

    def thing(self, rng: random.Random, index: int | None = None) -> Picture:
        index = rng.choice(self.available) if index is None else index
        sprite = rng.choice(self.gallery.sprites[index])
        if rng.random() < self.ease * 0.8:
            colour = rng.choice([(255, 255, 255), any_colour(rng)])
            return Picture("thing", Scene(SOLID, (colour, colour), (place(rng, sprite, 170, 240),)), index)
        background, colours = any_background(rng)
        return Picture("thing", Scene(background, colours, (place(rng, sprite),)), index)

    def shape(self, rng: random.Random) -> Picture:
        """A coloured shape, or some, on a plain ground of another colour."""
        index = rng.randrange(len(SHAPES))
        colour, ground = rng.sample(COLOURS, 2)
        sprite = self.gallery.first_shape + index
        count = rng.choice([1, 1, 1, 2, 3, 4, 5])
        tint = jittered(rng, colour[0])
        items = scatter(rng, sprite, count, tint) if count > 1 else (place(rng, sprite, 70, 200, tint),)
        return Picture("shape", Scene(SOLID, (jittered(rng, ground[0]),) * 2, items), -1, count, index, colour, ground)

    def counting(self, rng: random.Random) -> Picture:
        index = rng.choice(self.available)
        count = rng.randint(1, MAX_ITEMS)
        background, colours = any_background(rng)
        return Picture("counting", Scene(background, colours, scatter(rng, rng.choice(self.gallery.sprites[index]), count)), index, count)

    def ground(self, rng: random.Random) -> Picture:
        index = rng.choice(self.available)
        ground = rng.choice(COLOURS)
        item = place(rng, rng.choice(self.gallery.sprites[index]), 84, 190)
        return Picture("ground", Scene(SOLID, (jittered(rng, ground[0]),) * 2, (item,)), index, ground=ground)
