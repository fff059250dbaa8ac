"""Batches of packed rows: several short conversations in a row of 256 tokens, which do not see each other.

Everything has the same shape in every batch, so that a step can be captured once and replayed.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from tokenizers import Tokenizer

import questions
import scenes
import transcription
from configuration import AUDIO_SLOTS, AUDIO_TOKEN, EOS, IMAGE_SLOTS, IMAGE_TOKEN
from conversations import Conversation, introduction, pose, two_turns
from drawing import pack_scenes
from speech import TOKENS

ROW = 256
KINDS = ("one picture", "two pictures", "speech", "text")
ONE, TWO, SPEECH, TEXT = range(4)
# There are most texts and fewest clips in a batch.
KIND_WEIGHTS = (1.5, 3.0, 3.0, 0.5)


@dataclass(frozen=True)
class Recipe:
    """Rows of a batch by what they start with; the rest of each row is filled with text."""

    single: int = 104
    double: int = 24
    audio: int = 48
    text: int = 2

    @property
    def rows(self) -> int:
        return self.single + self.double + self.audio + self.text

    @property
    def images(self) -> int:
        return 2 * (self.single + self.double)

    @property
    def labels(self) -> int:
        """Places whose next token is learned, at most."""
        return 32 * self.rows


@dataclass(frozen=True)
class Clips:
    """Spoken sentences that are ready: what they say, and in which language."""

    texts: list[str]
    languages: list[str]


class Row:
    """One row while it is being filled."""

    def __init__(self) -> None:
        # Not <pad>, whose embedding is zero: AltUp's magnitudes have no gradient there.
        self.ids = np.full(ROW, EOS, np.int64)
        self.segments = np.full(ROW, -1, np.int64)
        self.positions = np.zeros(ROW, np.int64)
        self.media = np.full(ROW, -1, np.int64)
        self.labels: list[tuple[int, int, float, int]] = []
        self.used = 0
        self.count = 0

    def add(self, kind: int, ids: np.ndarray, answer: np.ndarray, media: np.ndarray) -> bool:
        n = len(ids)
        if self.used + n > ROW:
            return False
        place = slice(self.used, self.used + n)
        self.ids[place], self.media[place] = ids, media
        self.segments[place], self.positions[place] = self.count, np.arange(n)
        targets = np.flatnonzero(answer)
        # A long answer weighs more than a short one, but not in proportion.
        weight = KIND_WEIGHTS[kind] / len(targets) ** 0.5
        self.labels += [(self.used + int(t) - 1, int(ids[t]), weight, kind) for t in targets]
        self.used += n
        self.count += 1
        return True


class Mixer:
    """Makes batches without end from one seed."""

    def __init__(self, tokenizer: Tokenizer, tasks: scenes.PictureTasks, clips: Clips, recipe: Recipe, seed: int) -> None:
        self.tokenizer, self.tasks, self.clips, self.recipe = tokenizer, tasks, clips, recipe
        self.rng = random.Random(seed)

    def encode(self, conversation: Conversation, first_image: int, clip: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Ids, which of them belong to answers, and the row of the media features that replaces each (-1: none)."""
        text, spans = conversation.prompt()
        encoding = self.tokenizer.encode(text, add_special_tokens=False)
        ids = np.array(encoding.ids, np.int64)
        starts = np.array([start for start, _ in encoding.offsets])
        answer = np.zeros(len(ids), bool)
        for start, end in spans:
            answer |= (starts >= start) & (starts < end)
        media = np.full(len(ids), -1, np.int64)
        slots = np.flatnonzero(ids == IMAGE_TOKEN)
        media[slots] = first_image * IMAGE_SLOTS + np.arange(len(slots))
        slots = np.flatnonzero(ids == AUDIO_TOKEN)
        if len(slots):
            sound = self.recipe.images * IMAGE_SLOTS
            padding = sound + self.recipe.audio * TOKENS
            media[slots] = np.where(np.arange(AUDIO_SLOTS) < TOKENS, sound + clip * TOKENS + np.arange(AUDIO_SLOTS), padding)
        return ids, answer, media

    def text(self) -> Conversation:
        rng = self.rng
        kind = rng.random()
        if kind < 0.06:
            return introduction(rng)
        first = questions.draw(rng, evaluation=False)
        if kind < 0.14:
            return two_turns(rng, first, questions.draw(rng, evaluation=False), [])
        return pose(rng, first, [])

    def fill(self, row: Row) -> None:
        misses = 0
        while misses < 2 and ROW - row.used > 16:
            if not row.add(TEXT, *self.encode(self.text(), 0, 0)):
                misses += 1

    def batch(self) -> dict[str, np.ndarray]:
        rng, recipe = self.rng, self.recipe
        rows, drawn_scenes, classes, clips = [], [], [], []

        def picture(row: Row, kind: int, make: Callable[[random.Random], scenes.Drawn]) -> None:
            while True:
                drawn = make(rng)
                if row.add(kind, *self.encode(drawn.conversation, len(drawn_scenes), 0)):
                    drawn_scenes.extend(drawn.scenes)
                    classes.extend(drawn.things)
                    return

        for _ in range(recipe.single):
            row = Row()
            picture(row, ONE, self.tasks.one)
            picture(row, ONE, self.tasks.one)
            rows.append(row)
        for _ in range(recipe.double):
            row = Row()
            picture(row, TWO, self.tasks.two)
            rows.append(row)
        for _ in range(recipe.audio):
            row = Row()
            while True:
                clip = rng.randrange(len(self.clips.texts))
                conversation = transcription.conversation(rng, self.clips.texts[clip], self.clips.languages[clip])
                if row.add(SPEECH, *self.encode(conversation, 0, len(clips))):
                    break
            clips.append(clip)
            rows.append(row)
        rows += [Row() for _ in range(recipe.text)]
        for row in rows:
            self.fill(row)
        return self.collate(rows) | {
            "scenes": pack_scenes(drawn_scenes), "classes": np.array(classes, np.int64), "clips": np.array(clips, np.int64),
        }

    def collate(self, rows: list[Row]) -> dict[str, np.ndarray]:
        labels = [(i * ROW + at, *rest) for i, row in enumerate(rows) for at, *rest in row.labels]
        labels = self.rng.sample(labels, min(len(labels), self.recipe.labels))
        places = np.zeros(self.recipe.labels, np.int64)
        targets = np.zeros(self.recipe.labels, np.int64)
        weights = np.zeros(self.recipe.labels, np.float32)
        kinds = np.full(self.recipe.labels, -1, np.int64)
        n = len(labels)
        places[:n], targets[:n], weights[:n], kinds[:n] = zip(*labels)
        stacked = {name: np.stack([getattr(row, name) for row in rows]) for name in ("ids", "segments", "positions", "media")}
        return stacked | {"places": places, "targets": targets, "weights": weights, "kinds": kinds}
