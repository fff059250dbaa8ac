"""Questions about pictures: what one shows, how many things, in which colours, and what two pictures show."""

import random
from dataclasses import dataclass

from conversations import IMAGE, Conversation, Setting, pose, two_turns
from languages import KOREAN_COUNTS, copula, english_number, particle, plural
from objects import Thing
from questions import Exchange
from scenes import SHAPES, Colour, Gallery, Picture, Scene, Studio

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
ORDINAL = {
    "en": ["What is in the {0} picture?", "What does the {0} picture show?", "What do you see in the {0} picture?", "Describe the {0} picture.",
           "What is in the {0} image?"],
    "ko": ["{0} 그림에 무엇이 있나요?", "{0} 그림은 무엇인가요?", "{0} 그림에 무엇이 보이나요?", "{0} 그림을 설명해 주세요.", "{0} 이미지에 무엇이 있나요?"],
}
BOTH = {
    "en": ["What is in the pictures?", "What do the two pictures show?", "Describe both pictures.", "What do you see?"],
    "ko": ["그림들에 무엇이 있나요?", "두 그림에 무엇이 있나요?", "두 그림을 설명해 주세요.", "무엇이 보이나요?"],
}
SAME = {
    "en": ["Do both pictures show the same thing?", "Is the same thing in both pictures?", "Are the things in the two pictures the same?"],
    "ko": ["두 그림에 같은 것이 있나요?", "두 그림은 같은 것인가요?", "같은 것이 보이나요?"],
}
WHETHER = {
    "en": ["Is {1} in the {0} picture?", "Does the {0} picture show {1}?", "Do you see {1} in the {0} picture?"],
    "ko": ["{0} 그림에 {1} 있나요?", "{0} 그림에 {1} 보이나요?", "{0} 그림에서 {1} 보이나요?"],
}


def sentence_of(thing: Thing) -> dict[str, str]:
    return {"en": f"{thing.phrase[0].upper()}{thing.phrase[1:]}.", "ko": copula(thing.korean[0])}


def from_templates(rng: random.Random, task: str, templates: dict[str, list[str]], facts: dict[str, tuple], answer: dict[str, str]) -> Exchange:
    index = rng.randrange(len(templates["en"]))
    return Exchange(task, {language: texts[index].format(*facts[language]) for language, texts in templates.items()}, answer, "")


NOTHING: dict[str, tuple] = {"en": (), "ko": ()}


def naming(rng: random.Random, thing: Thing) -> Exchange:
    return from_templates(rng, "one picture", NAMING, NOTHING, sentence_of(thing))


def yes_or_no(rng: random.Random, gallery: Gallery, index: int) -> Exchange:
    thing = gallery.things[index]
    other = thing if rng.random() < 0.5 else gallery.things[rng.choice(gallery.available)]
    name = other.english[0]
    is_it = "Are these" if not other.article and name.endswith("s") and not name.endswith(("ss", "is")) else "Is this"
    return Exchange(
        "yes or no", {"en": f"{is_it} {other.phrase}?", "ko": f"이것은 {other.korean[0]}인가요?"}, yes_if(other is thing, thing), "",
    )


def yes_if(truth: bool, thing: Thing) -> dict[str, str]:
    """Yes, or no and what it is in truth."""
    named = sentence_of(thing)
    return {"en": "Yes.", "ko": "네."} if truth else {"en": f"No. {named['en']}", "ko": f"아니요. {named['ko']}"}


def colour_question(rng: random.Random, what: tuple[str, str], colour: Colour) -> Exchange:
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


def about_shape(rng: random.Random, picture: Picture) -> Exchange:
    english, korean = SHAPES[picture.shape]
    several = english + ("es" if english == "cross" else "s")
    kind = rng.random()
    if picture.count > 1 and kind < 0.7:
        return count_question(rng, several, korean, picture.count)
    if kind < 0.5:
        return colour_question(rng, (english, korean), picture.colour)
    if kind < 0.8 or picture.count > 1:
        return colour_question(rng, ("background", "배경"), picture.ground)
    article = "An" if picture.colour[0][0] in "aeio" else "A"
    answer = {"en": f"{article} {picture.colour[0]} {english}.", "ko": copula(f"{picture.colour[2]} {korean}")}
    return from_templates(rng, "shape", NAMING, NOTHING, answer)


def about_one(rng: random.Random, gallery: Gallery, picture: Picture, *, evaluation: bool) -> Exchange:
    """A question about a picture of any kind."""
    thing = gallery.things[picture.thing]
    match picture.kind:
        case "shape":
            return about_shape(rng, picture)
        case "counting":
            if thing.article and rng.random() < 0.6:
                return count_question(rng, plural(thing.english[0]), thing.korean[0], picture.count)
            return count_question(rng, "things", "물건", picture.count)
        case "ground":
            return colour_question(rng, ("background", "배경"), picture.ground)
        case _:
            return naming(rng, thing) if evaluation or rng.random() < 0.85 else yes_or_no(rng, gallery, picture.thing)


def same_name(first: Thing, second: Thing) -> bool:
    """Whether two things share a name, so that a question would have two answers."""
    return bool(set(first.korean) & set(second.korean) or set(first.english) & set(second.english))


def about_two(rng: random.Random, gallery: Gallery, shown: tuple[int, int]) -> Exchange:
    """A question about two pictures: which shows a thing, what one of them shows, or both; whether that is the same."""
    things = [gallery.things[i] for i in shown]
    target = rng.randrange(2)
    thing = things[target]
    ordinal, ordinal_ko = ORDINALS[target]
    same = shown[0] == shown[1]
    kind = rng.random()
    if kind < 0.38 and not same:
        facts = {"en": ("the " + thing.english[0].removeprefix("the "),), "ko": (thing.korean[0], particle(thing.korean[0], "이", "가"))}
        return from_templates(rng, "two pictures", WHICH, facts, {"en": f"The {ordinal}.", "ko": copula(ordinal_ko)})
    if kind < 0.76:
        return from_templates(rng, "two pictures", ORDINAL, {"en": (ordinal,), "ko": (ordinal_ko,)}, sentence_of(thing))
    if kind < 0.88:
        first, second = things
        joined = {
            "en": f"{first.phrase[0].upper()}{first.phrase[1:]} and {second.phrase}.",
            "ko": copula(f"{particle(first.korean[0], '과', '와')} {second.korean[0]}"),
        }
        return from_templates(rng, "both pictures", BOTH, NOTHING, joined)
    if kind < 0.94:
        return from_templates(rng, "both pictures", SAME, NOTHING, {"en": "Yes.", "ko": "네."} if same else {"en": "No.", "ko": "아니요."})
    # Often the other picture's thing, which is what must not be taken for this one's.
    other = gallery.things[rng.choice([shown[target], shown[1 - target], rng.choice(gallery.available)])]
    facts = {"en": (ordinal, other.phrase), "ko": (ordinal_ko, particle(other.korean[0], "이", "가"))}
    return from_templates(rng, "both pictures", WHETHER, facts, yes_if(other is thing or same_name(other, thing), thing))


@dataclass
class Drawn:
    """A conversation about pictures, and which thing each picture shows (-1: a shape)."""

    conversation: Conversation
    scenes: list[Scene]
    things: list[int]
    accepted: list[str]


class PictureTasks:
    """Conversations about new pictures."""

    def __init__(self, gallery: Gallery) -> None:
        self.gallery, self.studio = gallery, Studio(gallery)

    def about(self, rng: random.Random, picture: Picture, *, evaluation: bool = False, setting: Setting | None = None) -> Conversation:
        gallery = self.gallery
        exchange = about_one(rng, gallery, picture, evaluation=evaluation)
        if not evaluation and picture.kind in ("thing", "ground") and rng.random() < 0.04:
            second = exchange if picture.kind == "ground" else yes_or_no(rng, gallery, picture.thing)
            return two_turns(rng, naming(rng, gallery.things[picture.thing]), second, [IMAGE])
        return pose(rng, exchange, [IMAGE], evaluation=evaluation, setting=setting)

    def one(self, rng: random.Random, kind: str | None = None, *, evaluation: bool = False) -> Drawn:
        picture = self.studio.any(rng) if kind is None else self.studio.picture(rng, kind)
        conversation = self.about(rng, picture, evaluation=evaluation)
        accepted: tuple[str, ...] = ()
        if picture.kind == "thing":
            thing = self.gallery.things[picture.thing]
            accepted = thing.english if conversation.language == "en" else thing.korean
        return Drawn(conversation, [picture.scene], [picture.thing], list(accepted))

    def two(self, rng: random.Random, *, evaluation: bool = False) -> Drawn:
        """Two pictures of different things, and a question that needs both."""
        things = self.gallery.things
        while True:
            shown = tuple(rng.sample(self.gallery.available, 2))
            if not same_name(things[shown[0]], things[shown[1]]):
                break
        pictures = [self.studio.thing(rng, i) for i in shown]
        conversation = pose(rng, about_two(rng, self.gallery, shown), [IMAGE, IMAGE], evaluation=evaluation)
        return Drawn(conversation, [picture.scene for picture in pictures], list(shown), [])
