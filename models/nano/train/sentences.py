"""The grammar of spoken sentences, in English and in Korean.

One sentence in 16, by a hash of its words, is kept for evaluation.
"""

import random

from languages import (
    COLOURS, KOREAN_COUNTS, KOREAN_HOURS, english_number, korean_number, particle, plural, sentence,
)
from questions import COUNTRIES, held_out

ANIMALS = [
    ("dog", "개"), ("cat", "고양이"), ("cow", "소"), ("horse", "말"), ("pig", "돼지"), ("sheep", "양"), ("bird", "새"), ("rabbit", "토끼"),
    ("mouse", "쥐"), ("lion", "사자"), ("tiger", "호랑이"), ("bear", "곰"), ("monkey", "원숭이"), ("elephant", "코끼리"), ("fox", "여우"),
    ("wolf", "늑대"), ("duck", "오리"), ("fish", "물고기"), ("frog", "개구리"), ("turtle", "거북이"), ("snake", "뱀"), ("penguin", "펭귄"),
    ("whale", "고래"), ("giraffe", "기린"), ("goat", "염소"), ("chicken", "닭"),
]
THINGS = [
    ("book", "책"), ("cup", "컵"), ("hat", "모자"), ("ball", "공"), ("key", "열쇠"), ("umbrella", "우산"), ("pencil", "연필"), ("chair", "의자"),
    ("bag", "가방"), ("car", "자동차"), ("flower", "꽃"), ("balloon", "풍선"), ("camera", "카메라"), ("clock", "시계"), ("phone", "전화기"),
    ("shirt", "셔츠"), ("spoon", "숟가락"), ("box", "상자"), ("guitar", "기타"), ("bicycle", "자전거"),
]
FOODS = [
    ("bread", "빵"), ("milk", "우유"), ("water", "물"), ("rice", "밥"), ("coffee", "커피"), ("tea", "차"), ("cheese", "치즈"), ("fruit", "과일"),
    ("soup", "국"), ("cake", "케이크"), ("pizza", "피자"), ("fish", "생선"),
]
DEVICES = [
    ("light", "불"), ("radio", "라디오"), ("television", "텔레비전"), ("computer", "컴퓨터"), ("music", "음악"), ("heating", "난방"), ("fan", "선풍기"),
]
ROOMS = [
    ("kitchen", "부엌"), ("bedroom", "침실"), ("bathroom", "욕실"), ("living room", "거실"), ("garden", "정원"), ("office", "사무실"),
]
OPENINGS = [("door", "문"), ("window", "창문"), ("book", "책"), ("box", "상자"), ("gate", "대문"), ("bag", "가방")]
PLACES = [("park", "공원"), ("school", "학교"), ("station", "역"), ("hospital", "병원"), ("beach", "바닷가"), ("library", "도서관"), ("market", "시장"),
          ("zoo", "동물원")]
ACTIONS = [("sleeping", "자고"), ("eating", "먹고"), ("running", "뛰고"), ("walking", "걷고"), ("playing", "놀고"), ("waiting", "기다리고"),
           ("swimming", "헤엄치고")]
ADJECTIVES = [("big", "큰"), ("small", "작은"), ("old", "늙은"), ("young", "어린"), ("happy", "행복한"), ("tired", "피곤한"), ("hungry", "배고픈")]
DIRECTIONS = [("left", "왼쪽으로"), ("right", "오른쪽으로"), ("back", "뒤로"), ("up", "위로"), ("down", "아래로"), ("straight on", "앞으로")]
DAYS = [("Monday", "월요일"), ("Tuesday", "화요일"), ("Wednesday", "수요일"), ("Thursday", "목요일"), ("Friday", "금요일"), ("Saturday", "토요일"),
        ("Sunday", "일요일")]
FIXED = {
    "en": ["Good morning.", "Good evening.", "Thank you very much.", "Hello, how are you?", "Stop the music.", "Please wait a moment.", "See you tomorrow.",
           "What is your name?", "How much is it?", "I do not know.", "Please say it again.", "Where are you?"],
    "ko": ["안녕하세요.", "감사합니다.", "좋은 아침입니다.", "음악을 멈춰 주세요.", "잠시만 기다려 주세요.", "내일 만나요.", "이름이 뭐예요?", "얼마예요?",
           "잘 모르겠어요.", "다시 말해 주세요.", "어디에 있어요?", "만나서 반갑습니다."],
}
NUMERIC_PLACES = [("on the table", "탁자 위에"), ("in the garden", "정원에"), ("in the park", "공원에"), ("in the box", "상자 안에"), ("on the chair", "의자 위에")]


def english(rng: random.Random) -> str:
    pick = lambda table: rng.choice(table)[0]
    number = lambda low=0, high=99: english_number(rng.randint(low, high))
    colour = pick(COLOURS)
    return rng.choice([
        lambda: sentence(f"the {pick(ADJECTIVES)} {pick(ANIMALS)} is {pick(ACTIONS)}"),
        lambda: sentence(f"the {pick(ANIMALS)} is {pick(ACTIONS)} in the {pick(PLACES)}"),
        lambda: sentence(f"I see {number(2, 10)} {colour} {plural(pick(ANIMALS + THINGS))}"),
        lambda: sentence(f"there are {number(2, 99)} {plural(pick(ANIMALS + THINGS))} {pick(NUMERIC_PLACES)}"),
        lambda: sentence(f"turn {rng.choice(['on', 'off'])} the {pick(DEVICES)} in the {pick(ROOMS)}"),
        lambda: sentence(f"{rng.choice(['open', 'close'])} the {pick(OPENINGS)}, please"),
        lambda: f"What is {number()} plus {number()}?",
        lambda: sentence(f"my number is {number(0, 9)} {number(0, 9)} {number(0, 9)} {number(0, 9)}"),
        lambda: sentence(f"the {pick(THINGS)} is {colour}"),
        lambda: sentence(f"please bring me the {colour} {pick(THINGS)}"),
        lambda: f"Where is the {colour} {pick(THINGS)}?",
        lambda: sentence(f"the train to {rng.choice(COUNTRIES[:32])[1]} leaves at {number(1, 12)}"),
        lambda: sentence(f"set a timer for {number(2, 99)} minutes"),
        lambda: sentence(f"it is {number(1, 12)} o'clock"),
        lambda: sentence(f"go {pick(DIRECTIONS)}, then go {pick(DIRECTIONS)}"),
        lambda: sentence(f"I would like some {pick(FOODS)} and some {pick(FOODS)}"),
        lambda: sentence(f"we go to the {pick(PLACES)} on {pick(DAYS)}"),
        lambda: sentence(f"count from {number(0, 50)} to {number(51, 99)}"),
        lambda: sentence(f"the {pick(ANIMALS)} is behind the {pick(THINGS)}"),
        lambda: f"Is the {pick(ANIMALS)} bigger than the {pick(ANIMALS)}?",
        lambda: rng.choice(FIXED["en"]),
    ])()


def korean(rng: random.Random) -> str:
    pick = lambda table: rng.choice(table)[1]
    number = lambda low=0, high=99: korean_number(rng.randint(low, high))
    colour = rng.choice(COLOURS)
    return rng.choice([
        lambda: f"{pick(ADJECTIVES)} {particle(pick(ANIMALS), '이', '가')} {pick(ACTIONS)} 있어요.",
        lambda: f"{particle(pick(ANIMALS), '이', '가')} {pick(PLACES)}에서 {pick(ACTIONS)} 있어요.",
        lambda: f"{colour[2]} {particle(pick(ANIMALS + THINGS), '이', '가')} 보여요.",
        lambda: f"{pick(NUMERIC_PLACES)} {particle(pick(ANIMALS + THINGS), '이', '가')} {rng.choice(KOREAN_COUNTS[1:])} 개 있어요.",
        lambda: f"{pick(ROOMS)}의 {particle(pick(DEVICES), '을', '를')} {rng.choice(['켜', '꺼'])} 주세요.",
        lambda: f"{particle(pick(OPENINGS), '을', '를')} {rng.choice(['열어', '닫아'])} 주세요.",
        lambda: f"{number()} 더하기 {particle(number(), '은', '는')} 얼마예요?",
        lambda: f"제 번호는 {number(0, 9)} {number(0, 9)} {number(0, 9)} {number(0, 9)}입니다.",
        lambda: f"{particle(pick(THINGS), '은', '는')} {colour[1]}입니다.",
        lambda: f"{colour[2]} {particle(pick(THINGS), '을', '를')} 가져다 주세요.",
        lambda: f"{colour[2]} {particle(pick(THINGS), '은', '는')} 어디에 있어요?",
        lambda: f"{rng.choice(COUNTRIES[:32])[3]}행 기차는 {rng.choice(KOREAN_HOURS[1:])} 시에 떠나요.",
        lambda: f"{number(2, 99)} 분 후에 알려 주세요.",
        lambda: f"지금은 {rng.choice(KOREAN_HOURS[1:])} 시예요.",
        lambda: f"{pick(DIRECTIONS)} 가서 {pick(DIRECTIONS)} 가세요.",
        lambda: f"{particle(pick(FOODS), '과', '와')} {particle(pick(FOODS), '을', '를')} 주세요.",
        lambda: f"{pick(DAYS)}에 {pick(PLACES)}에 가요.",
        lambda: f"{number(0, 50)}부터 {number(51, 99)}까지 세어 보세요.",
        lambda: f"{particle(pick(ANIMALS), '은', '는')} {pick(THINGS)} 뒤에 있어요.",
        lambda: f"{particle(pick(ANIMALS), '은', '는')} {pick(ANIMALS)}보다 커요?",
        lambda: rng.choice(FIXED["ko"]),
    ])()


def draw(rng: random.Random, language: str, *, evaluation: bool) -> str:
    """A sentence of training, or one that training leaves out."""
    make = english if language == "en" else korean
    while True:
        text = make(rng)
        if text in FIXED[language]:
            if not evaluation:
                return text
        elif held_out(text) == evaluation:
            return text
