"""Conversations as the chat template renders them, with the characters of the answers marked.

`tests/models/nano` and `check_template` in tokenizer.py compare the rendering with the template itself.
"""

import random
from dataclasses import dataclass, field

from configuration import AUDIO_SLOTS, IMAGE_SLOTS
from questions import Exchange

IMAGE_RUN = "<image_soft_token>" * IMAGE_SLOTS
AUDIO_RUN = "<audio_soft_token>" * AUDIO_SLOTS
IMAGE = f"\n\n<start_of_image>{IMAGE_RUN}<end_of_image>\n\n"
AUDIO = f"\n\n<start_of_audio>{AUDIO_RUN}<end_of_audio>\n\n"

NEUTRAL_SYSTEMS = {
    "en": ["You are a helpful assistant.", "You are a helpful assistant. Answer briefly.", "Be brief.", "Answer the question.", "You are g3n-nano."],
    "ko": ["당신은 도움이 되는 어시스턴트입니다.", "짧게 대답하세요.", "질문에 대답하세요.", "당신은 친절한 도우미입니다."],
}
# The language that a system message asks for, in words of either language
LANGUAGE_SYSTEMS = {
    "en": ["Answer in English.", "Always answer in English.", "Reply in English.", "영어로 대답하세요.", "영어로 답해 주세요."],
    "ko": ["Answer in Korean.", "Always answer in Korean.", "Reply in Korean.", "한국어로 대답하세요.", "한국어로 답해 주세요."],
}
AGAIN = {
    "en": ["And in English?", "Say it in English.", "In English, please.", "영어로는?", "영어로 말해 주세요."],
    "ko": ["And in Korean?", "Say it in Korean.", "In Korean, please.", "한국어로는?", "한국어로 말해 주세요."],
}
NAMES = [("Mina", "미나"), ("Tom", "톰"), ("Anna", "안나"), ("Jun", "준"), ("Sora", "소라"), ("Ben", "벤"), ("Lena", "레나"), ("Minsu", "민수"), ("Paul", "폴"),
         ("Yuna", "유나"), ("Leo", "레오"), ("Hana", "하나"), ("Max", "맥스"), ("Jisu", "지수"), ("Emma", "에마"), ("David", "데이비드")]


@dataclass
class Conversation:
    """A user's parts are texts, IMAGE or AUDIO."""

    turns: list[tuple[list[str], str]]
    task: str
    language: str
    system: str | None = None
    # Other answers that are right, for each turn's last answer
    accepted: list[str] = field(default_factory=list)

    def prompt(self) -> tuple[str, list[tuple[int, int]]]:
        """The rendered text, and where the answers lie in it, <end_of_turn> included."""
        text = "<bos>"
        spans = []
        for i, (parts, answer) in enumerate(self.turns):
            prefix = f"{self.system}\n\n" if self.system and i == 0 else ""
            content = "".join(part if part in (IMAGE, AUDIO) else part.strip() for part in parts)
            text += f"<start_of_turn>user\n{prefix}{content}<end_of_turn>\n<start_of_turn>model\n"
            start = len(text)
            text += f"{answer}<end_of_turn>"
            spans.append((start, len(text)))
            text += "\n"
        return text[:-1], spans


def vary(rng: random.Random, text: str) -> str:
    """The text as people type it: now and then without its capital or its last mark."""
    if rng.random() < 0.12:
        text = text[0].lower() + text[1:]
    if rng.random() < 0.12 and text[-1] in ".?!" and len(text) > 4:
        text = text[:-1]
    return text


def parts_of(rng: random.Random, media: list[str], text: str, *, evaluation: bool) -> list[str]:
    last = media and not evaluation and rng.random() < 0.1
    return [text, *media] if last else [*media, text]


@dataclass(frozen=True)
class Setting:
    """A system message or none, and the language of answers that it asks for, if it does."""

    system: str | None = None
    language: str | None = None


def draw_setting(rng: random.Random) -> Setting:
    """A system message in one of four cases or so."""
    kind = rng.random()
    if kind < 0.1:
        return Setting(rng.choice(NEUTRAL_SYSTEMS[rng.choice(("en", "ko"))]))
    if kind < 0.3:
        language = rng.choice(("en", "ko"))
        return Setting(rng.choice(LANGUAGE_SYSTEMS[language]), language)
    return Setting()


def pose(rng: random.Random, exchange: Exchange, media: list[str], *, evaluation: bool = False, setting: Setting | None = None) -> Conversation:
    """One turn in a setting, which is drawn where none is given."""
    asked = rng.choice(("en", "ko"))
    setting = setting or draw_setting(rng)
    language = setting.language or asked
    question = exchange.question[asked] if evaluation else vary(rng, exchange.question[asked])
    task = "system message" if asked != language else exchange.task
    turns = [(parts_of(rng, media, question, evaluation=evaluation), exchange.answer[language])]
    return Conversation(turns, task, language, setting.system)


def two_turns(rng: random.Random, first: Exchange, second: Exchange, media: list[str]) -> Conversation:
    """Two questions, or one question and its answer in the other language."""
    language = rng.choice(("en", "ko"))
    start = (parts_of(rng, media, vary(rng, first.question[language]), evaluation=False), first.answer[language])
    if rng.random() < 0.5:
        other = "ko" if language == "en" else "en"
        return Conversation([start, ([rng.choice(AGAIN[other])], first.answer[other])], "two turns", other)
    return Conversation([start, ([vary(rng, second.question[language])], second.answer[language])], "two turns", language)


def introduction(rng: random.Random) -> Conversation:
    """A name given in the first turn, or in a system message, and asked for later."""
    name, name_ko = rng.choice(NAMES)
    language = rng.choice(("en", "ko"))
    if rng.random() < 0.4:
        system = rng.choice([f"Your name is {name}.", f"You are {name}."] if language == "en" else [f"당신의 이름은 {name_ko}입니다."])
        question = rng.choice(["Who are you?", "What is your name?"] if language == "en" else ["누구세요?", "이름이 뭐예요?"])
        answer = f"I am {name}." if language == "en" else f"저는 {name_ko}입니다."
        return Conversation([([vary(rng, question)], answer)], "system message", language, system)
    if language == "en":
        told, greeting = rng.choice([f"My name is {name}.", f"I am {name}.", f"Hello, I am {name}."]), f"Nice to meet you, {name}!"
        asked, answer = rng.choice(["What is my name?", "Who am I?", "Do you know my name?"]), f"Your name is {name}."
    else:
        told, greeting = rng.choice([f"제 이름은 {name_ko}입니다.", f"저는 {name_ko}입니다."]), f"만나서 반갑습니다, {name_ko} 님!"
        asked, answer = rng.choice(["제 이름이 뭐예요?", "제 이름은 무엇인가요?"]), f"{name_ko} 님입니다."
    return Conversation([([vary(rng, told)], greeting), ([vary(rng, asked)], answer)], "two turns", language)
