"""Questions about spoken sentences."""

import random
from dataclasses import dataclass

from conversations import AUDIO, Conversation, pose
from questions import Exchange

PROMPTS = {
    "en": ["Transcribe the audio.", "Transcribe.", "What do you hear?", "Write down what you hear.", "What is said?", "Transcribe the recording.",
           "What does the speaker say?", "Transcribe this audio.", "Transcribe this recording.", "Transcribe the speech."],
    "ko": ["음성을 받아써 주세요.", "받아쓰세요.", "무엇이 들리나요?", "들리는 말을 써 주세요.", "뭐라고 말했나요?", "녹음을 받아써 주세요.",
           "말하는 사람이 뭐라고 하나요?", "이 음성을 받아써 주세요.", "이 녹음을 받아써 주세요.", "말을 글로 옮겨 주세요."],
}
WHICH_LANGUAGE = {
    "en": ["Which language is this?", "What language do you hear?"], "ko": ["어느 언어인가요?", "무슨 언어가 들리나요?"],
}
LANGUAGE_NAMES = {"en": {"en": "English.", "ko": "영어입니다."}, "ko": {"en": "Korean.", "ko": "한국어입니다."}}


def conversation(rng: random.Random, text: str, language: str, *, evaluation: bool = False) -> Conversation:
    """A question about a clip that says `text`: nearly always what it says, in its own language."""
    if not evaluation and rng.random() < 0.06:
        index = rng.randrange(2)
        question = {key: texts[index] for key, texts in WHICH_LANGUAGE.items()}
        return pose(rng, Exchange("language", question, LANGUAGE_NAMES[language], ""), [AUDIO])
    index = rng.randrange(len(PROMPTS["en"]))
    asked = language if evaluation or rng.random() < 0.8 else rng.choice(("en", "ko"))
    question = PROMPTS[asked][index]
    if not evaluation and rng.random() < 0.1:
        question = question[0].lower() + question[1:].rstrip(".?")
    return Conversation([([AUDIO, question], text)], "transcription", language)
