#!/usr/bin/env python3
"""Makes the picture and the recording of the examples.

    make_data.py PICTURES

PICTURES is the file of ../../models/nano/train/prepare_pictures.py; the packages that README.md there names must be
installed. A drawing of Noto Emoji on a plain ground; a sentence that eSpeak NG says.
"""

import gzip
import json
import sys
import wave
from pathlib import Path

import numpy as np
from PIL import Image

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "../../models/nano/train"))

from drawing import rasterize
from objects import load_things
from speech import SAMPLE_RATE, Speaker

SIZE = 256
GROUND = (173, 206, 232)
THING = "cat"
SENTENCE = "The dog is playing in the park."
VOICE, SPEED, PITCH, RANGE = "en-us", 150, 50, 50
SILENCE = SAMPLE_RATE // 5


def picture(pictures: Path) -> Image.Image:
    with gzip.open(pictures, "rt") as file:
        drawings = json.load(file)["noto"]
    index = next(i for i, thing in enumerate(load_things()) if thing.phrase.split()[-1] == THING)
    sprite = Image.fromarray(rasterize(drawings[index][-1]))
    sprite = sprite.resize((200, 200), Image.Resampling.LANCZOS)
    image = Image.new("RGB", (SIZE, SIZE), GROUND)
    image.paste(sprite, ((SIZE - sprite.width) // 2, (SIZE - sprite.height) // 2), sprite)
    return image


def recording() -> np.ndarray:
    spoken = Speaker().say(SENTENCE, VOICE, SPEED, PITCH, RANGE).samples
    silence = np.zeros(SILENCE, np.int16)
    return np.concatenate([silence, spoken, silence])


if __name__ == "__main__":
    picture(Path(sys.argv[1])).save(HERE / f"{THING}.png", optimize=True)
    with wave.open(str(HERE / "speech.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(recording().tobytes())
