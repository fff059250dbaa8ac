"""Small pieces of English and Korean: numbers as words, particles, colours, plurals."""

LANGUAGES = ("en", "ko")

ENGLISH_ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
).split()
ENGLISH_TENS = "_ _ twenty thirty forty fifty sixty seventy eighty ninety".split()
KOREAN_DIGITS = "영 일 이 삼 사 오 육 칠 팔 구".split()
KOREAN_COUNTS = "_ 한 두 세 네 다섯 여섯 일곱 여덟 아홉 열".split()
KOREAN_HOURS = "_ 한 두 세 네 다섯 여섯 일곱 여덟 아홉 열 열한 열두".split()

# English, Korean noun, Korean adjective
COLOURS = [
    ("red", "빨간색", "빨간"), ("orange", "주황색", "주황색"), ("yellow", "노란색", "노란"), ("green", "초록색", "초록색"),
    ("blue", "파란색", "파란"), ("purple", "보라색", "보라색"), ("pink", "분홍색", "분홍색"), ("brown", "갈색", "갈색"),
    ("black", "검은색", "검은"), ("white", "흰색", "흰"), ("gray", "회색", "회색"),
]
IRREGULAR_PLURALS = {
    "mouse": "mice", "fish": "fish", "sheep": "sheep", "deer": "deer", "wolf": "wolves", "ox": "oxen",
    "leaf": "leaves", "knife": "knives", "die": "dice", "scarf": "scarves", "loaf": "loaves", "squid": "squid",
    "shrimp": "shrimp", "bison": "bison", "tooth": "teeth", "shelf": "shelves",
}


def english_number(n: int) -> str:
    if n < 20:
        return ENGLISH_ONES[n]
    tens, ones = divmod(n, 10)
    return ENGLISH_TENS[tens] + (f"-{ENGLISH_ONES[ones]}" if ones else "")


def korean_number(n: int) -> str:
    """Sino-Korean, 0 to 99."""
    tens, ones = divmod(n, 10)
    if not tens:
        return KOREAN_DIGITS[ones]
    return ("" if tens == 1 else KOREAN_DIGITS[tens]) + "십" + (KOREAN_DIGITS[ones] if ones else "")


def ends_in_consonant(word: str) -> bool:
    last = ord(word[-1])
    if 0xAC00 <= last <= 0xD7A3:
        return (last - 0xAC00) % 28 != 0
    return word[-1] in "013678LMNRlmnr"


def particle(word: str, after_consonant: str, after_vowel: str) -> str:
    """The word with the form of a particle that fits its last sound."""
    return word + (after_consonant if ends_in_consonant(word) else after_vowel)


def copula(word: str) -> str:
    return f"{word}입니다."


def plural(noun: str) -> str:
    head, _, last = noun.rpartition(" ")
    prefix = f"{head} " if head else ""
    if last in IRREGULAR_PLURALS:
        return prefix + IRREGULAR_PLURALS[last]
    if last.endswith("y") and last[-2] not in "aeiou":
        return prefix + last[:-1] + "ies"
    if last.endswith(("s", "x", "ch", "sh")):
        return prefix + last + "es"
    return prefix + last + "s"


def sentence(text: str) -> str:
    return text[0].upper() + text[1:] + "."
