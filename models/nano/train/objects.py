"""The objects that pictures show, read from objects.txt: their emoji, and their names in both languages."""

from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
VARIATION_SELECTOR = "\ufe0f"


@dataclass(frozen=True)
class Thing:
    """One class of pictures. The first name of a language is the answer; the others are right too."""

    emoji: tuple[str, ...]
    english: tuple[str, ...]
    korean: tuple[str, ...]
    article: str

    @property
    def phrase(self) -> str:
        """The English name with its article: "a cow", "scissors"."""
        return self.article + self.english[0]


def split_emoji(text: str) -> tuple[str, ...]:
    out: list[str] = []
    for character in text:
        if character == VARIATION_SELECTOR:
            continue
        out.append(character)
    return tuple(out)


def article_of(name: str) -> str:
    if name.startswith("UFO"):
        return "a "
    return "an " if name[0].lower() in "aeio" or name.startswith("umbrella") else "a "


def load_things() -> list[Thing]:
    things = []
    for line in (HERE / "objects.txt").read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        emoji, english, korean = (part.strip() for part in line.split(";"))
        plain = english.startswith("-")
        names = tuple(english.removeprefix("-").split("|"))
        things.append(Thing(split_emoji(emoji), names, tuple(korean.split("|")), "" if plain else article_of(names[0])))
    return things
