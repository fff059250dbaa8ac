"""What pictures hold, before they are drawn: a background and up to five items, and the questions about them."""

import random
from dataclasses import dataclass

from conversations import IMAGE, Conversation, pose, two_turns
from languages import COLOURS, KOREAN_COUNTS, copula, english_number, particle, plural
from objects import Thing
from questions import Exchange

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

NAMING = {
    "en": ["What is in the picture?", "What is in this picture?", "What is this?", "What do you see?", "What does the picture show?",
           "Describe the picture.", "Describe this image.", "Describe this picture.", "What is in the image?", "What can you see in this image?",
           "Name the object in the picture.", "What is shown here?", "Describe the image.", "What is in this image?", "What do you see in this picture?"],
    "ko": ["그림에 무엇이 있나요?", "이 그림에 무엇이 있나요?", "이것은 무엇인가요?", "무엇이 보이나요?", "이 이미지에 무엇이 보이나요?",
           "그림을 설명해 주세요.", "이 이미지를 설명해 주세요.", "이 그림을 설명해 주세요.", "이미지에 무엇이 있나요?", "이 사진에 무엇이 보이나요?",
           "그림에 있는 것의 이름은 무엇인가요?", "이게 뭐예요?", "이미지를 설명해 주세요.", "이 그림은 무엇입니까?", "이 그림에서 무엇이 보이나요?"],
}
WHICH = {
    "en": ["Which picture shows {0}?", "Which image shows {0}?", "In which picture is {0}?", "Where is {0}?", "Which of the two shows {0}?"],
    "ko": ["{0}: 어느 그림에 있나요?", "어느 그림에 {1} 있나요?", "{1} 있는 그림은 어느 것인가요?", "{1} 어디에 있나요?", "{1} 보이는 그림은 어느 것인가요?"],
}
ORDINALS = [("first", "첫 번째"), ("second", "두 번째")]


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


def naming(thing: Thing, index: int) -> Exchange:
    phrase = thing.phrase
    return Exchange(
        "one picture", {"en": NAMING["en"][index], "ko": NAMING["ko"][index]},
        {"en": f"{phrase[0].upper()}{phrase[1:]}.", "ko": copula(thing.korean[0])}, "",
    )


def colour_question(rng: random.Random, what: tuple[str, str], colour: tuple[str, str, str]) -> Exchange:
    english, korean = what
    index = rng.randrange(3)
    return Exchange("colour", {
        "en": [f"What colour is the {english}?", f"What color is the {english}?", f"Which colour does the {english} have?"][index],
        "ko": [f"{korean}의 색은 무엇인가요?", f"{korean}: 무슨 색인가요?", f"{korean}의 색깔은 무엇입니까?"][index],
    }, {"en": f"{colour[0].capitalize()}.", "ko": copula(colour[1])}, "")


def count_question(rng: random.Random, english: str, korean: str, count: int) -> Exchange:
    index = rng.randrange(3)
    return Exchange("counting", {
        "en": [f"How many {english} are there?", f"How many {english} do you see?", f"Count the {english}."][index],
        "ko": [f"{korean} 몇 개가 있나요?", f"{korean}: 몇 개가 보이나요?", f"{korean}의 수를 세어 주세요."][index],
    }, {"en": f"{english_number(count).capitalize()}.", "ko": f"{KOREAN_COUNTS[count]} 개입니다."}, "")


@dataclass
class Drawn:
    """A conversation about pictures, and which thing each picture shows (-1: a shape)."""

    conversation: Conversation
    scenes: list[Scene]
    things: list[int]
    accepted: list[str]


class PictureTasks:
    def __init__(self, gallery: Gallery) -> None:
        self.gallery = gallery
        self.available = [i for i, sprites in enumerate(gallery.sprites) if sprites]
        # From 1, large things on plain grounds, to 0
        self.ease = 0.0

    def thing_scene(self, rng: random.Random, thing: int) -> Scene:
        sprite = rng.choice(self.gallery.sprites[thing])
        if rng.random() < self.ease * 0.8:
            colour = rng.choice([(255, 255, 255), any_colour(rng)])
            return Scene(SOLID, (colour, colour), (place(rng, sprite, 170, 240),))
        background, colours = any_background(rng)
        return Scene(background, colours, (place(rng, sprite),))

    def name_one(self, rng: random.Random, *, evaluation: bool) -> Drawn:
        index = rng.choice(self.available)
        thing = self.gallery.things[index]
        scene = self.thing_scene(rng, index)
        asked = rng.random()
        if asked < 0.85 or evaluation:
            exchange = naming(thing, rng.randrange(len(NAMING["en"])))
        else:
            exchange = self.yes_or_no(rng, index)
        if not evaluation and rng.random() < 0.04:
            return Drawn(two_turns(rng, naming(thing, 0), self.yes_or_no(rng, index), [IMAGE]), [scene], [index], [])
        conversation = pose(rng, exchange, [IMAGE], evaluation=evaluation)
        names = thing.english if conversation.language == "en" else thing.korean
        return Drawn(conversation, [scene], [index], list(names))

    def yes_or_no(self, rng: random.Random, index: int) -> Exchange:
        truth = rng.random() < 0.5
        thing = self.gallery.things[index]
        other = thing if truth else self.gallery.things[rng.choice(self.available)]
        name = other.english[0]
        is_it = "Are these" if not other.article and name.endswith("s") and not name.endswith(("ss", "is")) else "Is this"
        same = other is thing
        phrase = thing.phrase
        answer_en = "Yes." if same else f"No. {phrase[0].upper()}{phrase[1:]}."
        answer_ko = "네." if same else f"아니요. {copula(thing.korean[0])}"
        return Exchange(
            "yes or no", {"en": f"{is_it} {other.phrase}?", "ko": f"이것은 {other.korean[0]}인가요?"}, {"en": answer_en, "ko": answer_ko}, "",
        )

    def shape(self, rng: random.Random, *, evaluation: bool) -> Drawn:
        """A coloured shape on a plain ground of another colour."""
        index = rng.randrange(len(SHAPES))
        colour, ground = rng.sample(COLOURS, 2)
        sprite = self.gallery.first_shape + index
        count = rng.choice([1, 1, 1, 2, 3, 4, 5])
        tint = jittered(rng, colour[0])
        items = scatter(rng, sprite, count, tint) if count > 1 else (place(rng, sprite, 70, 200, tint),)
        scene = Scene(SOLID, (jittered(rng, ground[0]),) * 2, items)
        english, korean = SHAPES[index]
        kind = rng.random()
        if count > 1 and kind < 0.7:
            exchange = count_question(rng, english + ("es" if english == "cross" else "s"), korean, count)
        elif kind < 0.5:
            exchange = colour_question(rng, (english, korean) if count == 1 else (f"{english}s", korean), colour)
        elif kind < 0.8:
            exchange = colour_question(rng, ("background", "배경"), ground)
        elif count == 1:
            choice = rng.randrange(len(NAMING["en"]))
            article = "an" if colour[0][0] in "aeio" else "a"
            exchange = Exchange("shape", {"en": NAMING["en"][choice], "ko": NAMING["ko"][choice]},
                                {"en": f"{article.capitalize()} {colour[0]} {english}.", "ko": copula(f"{colour[2]} {korean}")}, "")
        else:
            exchange = colour_question(rng, ("background", "배경"), ground)
        return Drawn(pose(rng, exchange, [IMAGE], evaluation=evaluation), [scene], [-1], [])

    def counting(self, rng: random.Random, *, evaluation: bool) -> Drawn:
        index = rng.choice(self.available)
        thing = self.gallery.things[index]
        count = rng.randint(1, MAX_ITEMS)
        background, colours = any_background(rng)
        scene = Scene(background, colours, scatter(rng, rng.choice(self.gallery.sprites[index]), count))
        if thing.article and rng.random() < 0.6:
            exchange = count_question(rng, plural(thing.english[0]), thing.korean[0], count)
        else:
            exchange = count_question(rng, "things", "물건", count)
        return Drawn(pose(rng, exchange, [IMAGE], evaluation=evaluation), [scene], [index], [])

    def background_colour(self, rng: random.Random, *, evaluation: bool) -> Drawn:
        index = rng.choice(self.available)
        ground = rng.choice(COLOURS)
        sprite = rng.choice(self.gallery.sprites[index])
        scene = Scene(SOLID, (jittered(rng, ground[0]),) * 2, (place(rng, sprite, 84, 190),))
        exchange = colour_question(rng, ("background", "배경"), ground)
        if not evaluation and rng.random() < 0.1:
            return Drawn(two_turns(rng, naming(self.gallery.things[index], 0), exchange, [IMAGE]), [scene], [index], [])
        return Drawn(pose(rng, exchange, [IMAGE], evaluation=evaluation), [scene], [index], [])

    def one(self, rng: random.Random, *, evaluation: bool = False) -> Drawn:
        kinds = [self.name_one, self.shape, self.counting, self.background_colour]
        return rng.choices(kinds, [0.62, 0.17, 0.15, 0.06])[0](rng, evaluation=evaluation)

    def two(self, rng: random.Random, *, evaluation: bool = False) -> Drawn:
        """Two pictures of different things, and a question that needs both."""
        shown = rng.sample(self.available, 2)
        things = [self.gallery.things[i] for i in shown]
        scenes = [self.thing_scene(rng, i) for i in shown]
        target = rng.randrange(2)
        thing = things[target]
        ordinal, ordinal_ko = ORDINALS[target]
        clash = set(things[0].korean) & set(things[1].korean) or set(things[0].english) & set(things[1].english)
        if clash:
            return self.two(rng, evaluation=evaluation)
        if rng.random() < 0.7:
            index = rng.randrange(len(WHICH["en"]))
            exchange = Exchange("two pictures", {
                "en": WHICH["en"][index].format("the " + thing.english[0].removeprefix("the ")),
                "ko": WHICH["ko"][index].format(thing.korean[0], particle(thing.korean[0], "이", "가")),
            }, {"en": f"The {ordinal}.", "ko": copula(ordinal_ko)}, "")
        else:
            exchange = Exchange("two pictures", {
                "en": f"What is in the {ordinal} picture?", "ko": f"{ordinal_ko} 그림에 무엇이 있나요?",
            }, naming(thing, 0).answer, "")
        conversation = pose(rng, exchange, [IMAGE, IMAGE], evaluation=evaluation)
        return Drawn(conversation, scenes, shown, [])
