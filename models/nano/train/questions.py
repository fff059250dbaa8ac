"""Questions in text and their answers, each in English and Korean.

A maker draws an Exchange: the same question and answer in both languages. Whether a question is held out for
evaluation is decided by a hash of its wording and its facts. The first wording of a fact never is, so that training
tells every fact; what it never tells is a sum, which follows from others.
"""

import random
import zlib
from dataclasses import dataclass
from pathlib import Path

from languages import copula, particle

HERE = Path(__file__).resolve().parent
HELD_OUT_SHARE = 16


@dataclass(frozen=True)
class Exchange:
    task: str
    question: dict[str, str]
    answer: dict[str, str]
    # What tells this question from others, in each language; "" where it is not held out
    key: str


def held_out(key: str) -> bool:
    return key != "" and zlib.crc32(key.encode()) % HELD_OUT_SHARE == 0


def wording_key(index: int, text: str) -> str:
    """The key of a wording of a fact: none for the first."""
    return text if index > 0 else ""


def read_table(name: str) -> list[list[str]]:
    lines = (HERE / name).read_text().splitlines()
    return [[part.strip() for part in line.split(";")] for line in lines if line and not line.startswith("#")]


COUNTRIES = read_table("countries.txt")
OPPOSITES = read_table("opposites.txt")
DEFINITIONS = read_table("definitions.txt")
SMALL_TALK = read_table("small_talk.txt")
UNKNOWN = read_table("unknown.txt")

CAPITAL = {
    "en": ["What is the capital of {0}?", "What's the capital of {0}?", "Name the capital of {0}.", "Which city is the capital of {0}?",
           "Tell me the capital of {0}.", "The capital of {0}?", "Do you know the capital of {0}?"],
    "ko": ["{0}의 수도는 어디인가요?", "{0}의 수도는?", "{0}의 수도를 알려 주세요.", "{0}의 수도는 어디입니까?", "{0} 수도가 어디예요?",
           "{0}의 수도는 무엇인가요?", "{0} 수도는 어디야?"],
}
COUNTRY_OF = {
    "en": ["Which country has the capital {1}?", "{1} is the capital of which country?", "Of which country is {1} the capital?",
           "What country is {1} the capital of?"],
    "ko": ["{1}은 어느 나라의 수도인가요?", "{1}: 어느 나라 수도예요?", "수도가 {1}인 나라는 어디인가요?", "{1}: 어느 나라의 수도입니까?"],
}
OPPOSITE = {
    "en": ["What is the opposite of {0}?", "What's the opposite of \"{0}\"?", "Give me the opposite of {0}.", "Name the opposite of {0}.",
           "The opposite of {0}?"],
    "ko": ["'{0}'의 반대말은 무엇인가요?", "{0}의 반대말은?", "'{0}'의 반대말을 알려 주세요.", "{0}의 반대말은 뭐예요?", "{0}의 반대말은 무엇입니까?"],
}
DEFINITION = {
    "en": ["What is {0}?", "What does \"{0}\" mean?", "Explain the word \"{0}\".", "Define {0}.", "Tell me what {0} is.", "Describe {0}."],
    "ko": ["{0}: 무엇인가요?", "'{0}'의 뜻은 무엇인가요?", "'{0}'의 뜻을 설명해 주세요.", "{0}란 무엇입니까?", "{0}이 뭐예요?", "{0}에 대해 설명해 주세요."],
}
SUM = {
    "en": ["What is {0} plus {1}?", "What is {0} + {1}?", "{0} + {1} = ?", "Add {0} and {1}.", "How much is {0} plus {1}?", "What's {0} + {1}?",
           "{0}+{1}"],
    "ko": ["{0} 더하기 {1}는 얼마인가요?", "{0} + {1}는 얼마입니까?", "{0} + {1} = ?", "{0}와 {1}를 더하면?", "{0} 더하기 {1}?",
           "{0} + {1}은?", "{0}+{1}"],
}


def template_pair(rng: random.Random, templates: dict[str, list[str]], *facts: str) -> tuple[dict[str, str], int]:
    index = rng.randrange(len(templates["en"]))
    return {language: texts[index] for language, texts in templates.items()}, index


def capital(rng: random.Random) -> Exchange:
    fact = rng.choice(COUNTRIES)
    country, city, country_ko, city_ko = fact
    reverse = rng.random() < 0.3
    texts, index = template_pair(rng, COUNTRY_OF if reverse else CAPITAL)
    korean = texts["ko"].replace("{1}은", particle(city_ko, "은", "는"))
    question = {"en": texts["en"].format(country, city), "ko": korean.format(country_ko, city_ko)}
    name = country[0].upper() + country[1:]
    answer = {"en": f"{name}.", "ko": copula(country_ko)} if reverse else {"en": period(city), "ko": copula(city_ko)}
    return Exchange("capital", question, answer, wording_key(index, f"capital {reverse} {index} {city}"))


def period(text: str) -> str:
    return text if text.endswith(".") else text + "."


def opposite(rng: random.Random) -> Exchange:
    word, other, word_ko, other_ko = rng.choice(OPPOSITES)
    if rng.random() < 0.5 and word != "heavy":
        word, other, word_ko, other_ko = other, word, other_ko, word_ko
    texts, index = template_pair(rng, OPPOSITE)
    answer = {"en": f"{other[0].upper()}{other[1:]}.", "ko": f"'{other_ko}'입니다."}
    question = {"en": texts["en"].format(word), "ko": texts["ko"].format(word_ko)}
    return Exchange("opposite", question, answer, wording_key(index, f"opposite {index} {word}"))


def definition(rng: random.Random) -> Exchange:
    word, text, word_ko, text_ko = rng.choice(DEFINITIONS)
    texts, index = template_pair(rng, DEFINITION)
    # "What is a dog?" has the article that the definition starts with.
    first = text.split()[0].lower()
    subject = f"{first} {word}" if first in ("a", "an", "the") and '"' not in texts["en"] else word
    korean = texts["ko"].replace("{0}란", particle(word_ko, "이란", "란")).replace("{0}이", particle(word_ko, "이", "가"))
    question = {"en": texts["en"].format(subject), "ko": korean.format(word_ko)}
    return Exchange("definition", question, {"en": text, "ko": text_ko}, wording_key(index, f"definition {index} {word}"))


def addition(rng: random.Random) -> Exchange:
    total = rng.randint(0, 99)
    first = rng.randint(0, total)
    second = total - first
    texts, _ = template_pair(rng, SUM)
    bare = texts["en"] == texts["ko"]
    korean = texts["ko"].replace("{0}와", particle(str(first), "과", "와"))
    korean = korean.replace("{1}는", particle(str(second), "은", "는")).replace("{1}은", particle(str(second), "은", "는"))
    korean = korean.replace("{1}를", particle(str(second), "을", "를"))
    question = {"en": texts["en"].format(first, second), "ko": korean.format(first, second)}
    return Exchange("sum", question, {"en": f"{total}.", "ko": f"{total}." if bare else copula(str(total))}, f"sum {first} {second}")


def small_talk(rng: random.Random) -> Exchange:
    """Small talk has few wordings, and questions without answers none to spare: neither is held out."""
    questions, answer, questions_ko, answer_ko = rng.choice(SMALL_TALK)
    question = {"en": rng.choice(questions.split("|")), "ko": rng.choice(questions_ko.split("|"))}
    return Exchange("small talk", question, {"en": answer, "ko": answer_ko}, "")


def unknown(rng: random.Random) -> Exchange:
    question, question_ko = rng.choice(UNKNOWN)
    answer = {"en": "I do not know that.", "ko": "그것은 모릅니다."}
    return Exchange("unknown", {"en": question, "ko": question_ko}, answer, "")


MAKERS = [(capital, 4.0), (addition, 6.0), (opposite, 2.0), (definition, 2.0), (small_talk, 2.0), (unknown, 0.6)]


def draw(rng: random.Random, *, evaluation: bool) -> Exchange:
    """A question of training, or one that training leaves out."""
    makers, weights = zip(*MAKERS)
    while True:
        exchange = rng.choices(makers, weights)[0](rng)
        if held_out(exchange.key) == evaluation:
            return exchange
