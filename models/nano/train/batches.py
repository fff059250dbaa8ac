"""Batches of packed rows: several short conversations in a row of 256 tokens, which do not see each other.

Conversations about the same pictures can share them: each is a branch that sees the pictures and itself.

Everything has the same shape in every batch, so that a step can be captured once and replayed.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from tokenizers import Tokenizer

import questions
import transcription
from configuration import AUDIO_SLOTS, AUDIO_TOKEN, EOS, IMAGE_SLOTS, IMAGE_TOKEN
from conversations import AUDIO_RUN, IMAGE_RUN, Conversation, introduction, pose, two_turns
from drawing import pack_scenes
from picture_questions import Drawn, PictureTasks
from speech import TOKENS

ROW = 256
KINDS = ("one picture", "two pictures", "which picture", "speech", "text")
ONE, TWO, WHICH, SPEECH, TEXT = range(5)
# There are most texts and fewest clips in a batch.
KIND_WEIGHTS = (1.5, 3.0, 3.0, 3.0, 0.5)


@dataclass(frozen=True)
class Recipe:
    """Rows of a batch by what they start with; the rest of each row is filled with text."""

    single: int = 104
    double: int = 24
    audio: int = 48
    text: int = 2
    # Tokens to learn in a row, at most on average
    answers: int = 32

    @property
    def rows(self) -> int:
        return self.single + self.double + self.audio + self.text

    @property
    def images(self) -> int:
        return 2 * (self.single + self.double)

    @property
    def labels(self) -> int:
        """Places whose next token is learned, at most."""
        return self.answers * self.rows


@dataclass(frozen=True)
class Encoded:
    """A conversation [n]: ids, which of them belong to answers, and the row of the media features that replaces each (-1: none)."""

    kind: int
    ids: np.ndarray
    answer: np.ndarray
    media: np.ndarray

    @property
    def start(self) -> int:
        """What follows the last picture or clip, with its closing token."""
        return int(np.flatnonzero(self.media >= 0)[-1]) + 2


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
        self.branches = np.zeros(ROW, np.int64)
        self.positions = np.zeros(ROW, np.int64)
        self.media = np.full(ROW, -1, np.int64)
        self.labels: list[tuple[int, int, float, int]] = []
        self.used = 0
        self.count = 0

    def add(self, one: Encoded) -> bool:
        """One conversation, where it fits."""
        return self.add_group([one], 0, ROW) == 1

    def add_group(self, group: list[Encoded], shared: int, room: int) -> int:
        """How many of some conversations fit that begin with the same `shared` tokens; those take at most `room` tokens."""
        end = min(ROW, self.used + room)
        if self.used + len(group[0].ids) > end:
            return 0
        first = self.used
        self.write(group[0], slice(0, shared), first, 0)
        self.used += shared
        taken = 0
        for one in group:
            n = len(one.ids) - shared
            if self.used + n > end:
                continue
            taken += 1
            self.write(one, slice(shared, len(one.ids)), self.used, taken if shared else 0)
            targets = np.flatnonzero(one.answer)
            # A long answer weighs more than a short one, but not in proportion.
            weight = KIND_WEIGHTS[one.kind] / len(targets) ** 0.5
            self.labels += [(self.used - shared + int(t) - 1, int(one.ids[t]), weight, one.kind) for t in targets]
            self.used += n
        self.count += 1
        return taken

    def write(self, one: Encoded, part: slice, at: int, branch: int) -> None:
        place = slice(at, at + part.stop - part.start)
        self.ids[place], self.media[place] = one.ids[part], one.media[part]
        self.segments[place], self.branches[place] = self.count, branch
        self.positions[place] = np.arange(part.start, part.stop)


class Mixer:
    """Makes batches without end from one seed."""

    def __init__(self, tokenizer: Tokenizer, tasks: PictureTasks, clips: Clips, recipe: Recipe, seed: int) -> None:
        self.tokenizer, self.tasks, self.clips, self.recipe = tokenizer, tasks, clips, recipe
        self.rng = random.Random(seed)

    def encode(self, kind: int, conversation: Conversation, first_image: int = 0, clip: int = 0) -> Encoded:
        text, spans = conversation.prompt()
        # One token for each run of slots: they come before the answers, and are many.
        short = text.replace(IMAGE_RUN, IMAGE_RUN[: len(IMAGE_RUN) // IMAGE_SLOTS]).replace(AUDIO_RUN, AUDIO_RUN[: len(AUDIO_RUN) // AUDIO_SLOTS])
        encoding = self.tokenizer.encode(short, add_special_tokens=False)
        ids = np.array(encoding.ids, np.int64)
        starts = np.array([start for start, _ in encoding.offsets]) + len(text) - len(short)
        runs = np.where(ids == IMAGE_TOKEN, IMAGE_SLOTS, np.where(ids == AUDIO_TOKEN, AUDIO_SLOTS, 1))
        ids, starts = np.repeat(ids, runs), np.repeat(starts, runs)
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
        return Encoded(kind, ids, answer, media)

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
            if not row.add(self.encode(TEXT, self.text())):
                misses += 1

    def batch(self) -> dict[str, np.ndarray]:
        rng, recipe = self.rng, self.recipe
        rows, drawn_scenes, classes = [], [], []

        def picture(row: Row, kind: int, make: Callable[[random.Random], Drawn]) -> None:
            while True:
                drawn = make(rng)
                if row.add(self.encode(kind, drawn.conversation, len(drawn_scenes))):
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
        spoken, clips = self.speech()
        rows += spoken + [Row() for _ in range(recipe.text)]
        for row in rows:
            self.fill(row)
        return self.collate(rows) | {"scenes": pack_scenes(drawn_scenes), "classes": np.array(classes, np.int64), "clips": clips}

    def speech(self) -> tuple[list[Row], np.ndarray]:
        """Rows that start with a clip, and which."""
        rng, rows, clips = self.rng, [], []
        for _ in range(self.recipe.audio):
            row = Row()
            while True:
                clip = rng.randrange(len(self.clips.texts))
                conversation = transcription.conversation(rng, self.clips.texts[clip], self.clips.languages[clip])
                if row.add(self.encode(SPEECH, conversation, clip=len(clips))):
                    break
            clips.append(clip)
            rows.append(row)
        return rows, np.array(clips, np.int64)

    def collate(self, rows: list[Row]) -> dict[str, np.ndarray]:
        labels = [(i * ROW + at, *rest) for i, row in enumerate(rows) for at, *rest in row.labels]
        labels = self.rng.sample(labels, min(len(labels), self.recipe.labels))
        places = np.zeros(self.recipe.labels, np.int64)
        targets = np.zeros(self.recipe.labels, np.int64)
        weights = np.zeros(self.recipe.labels, np.float32)
        kinds = np.full(self.recipe.labels, -1, np.int64)
        n = len(labels)
        places[:n], targets[:n], weights[:n], kinds[:n] = zip(*labels)
        stacked = {name: np.stack([getattr(row, name) for row in rows]) for name in ("ids", "segments", "branches", "positions", "media")}
        return stacked | {"places": places, "targets": targets, "weights": weights, "kinds": kinds}
