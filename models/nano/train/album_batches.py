"""Batches about the pictures of an album: several questions, in both languages, share one or two pictures."""

import itertools
import json
import time
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer

from album import Album
from batches import ONE, ROW, TWO, WHICH, Clips, Encoded, Mixer, Recipe, Row
from configuration import END_OF_IMAGE
from conversations import IMAGE, Conversation, draw_setting, pose
from picture_questions import PictureTasks, about_two, same_name
from scenes import Gallery
from source import Queue

RECIPE = Recipe(single=48, double=64, audio=24, text=24, answers=48)
# Questions to the same pictures, at most
ABOUT_ONE, ABOUT_TWO = 3, 7
# Shares of pairs of one thing, and of things near each other in objects.txt
SAME, NEAR = 0.08, 0.2
NEIGHBOURS = 4


class AlbumMixer(Mixer):
    def __init__(self, tokenizer: Tokenizer, gallery: Gallery, album: Album, clips: Clips, recipe: Recipe, seed: int) -> None:
        super().__init__(tokenizer, PictureTasks(gallery), clips, recipe, seed)
        self.gallery, self.album = gallery, album
        self.shown = [index for index in gallery.available if len(album.showing[index]) > 1]

    def pair(self) -> tuple[int, int]:
        """Two things: any two, or neighbours, or the same."""
        rng = self.rng
        while True:
            at, kind = rng.randrange(len(self.shown)), rng.random()
            other = rng.randrange(len(self.shown))
            if kind < SAME:
                return self.shown[at], self.shown[at]
            if kind < SAME + NEAR:
                other = min(len(self.shown) - 1, max(0, at + rng.randint(-NEIGHBOURS, NEIGHBOURS)))
            first, second = self.shown[at], self.shown[other]
            if not same_name(self.gallery.things[first], self.gallery.things[second]):
                return first, second

    def questions_about_two(self, shown: tuple[int, int], image: int) -> list[Encoded]:
        rng = self.rng
        setting = draw_setting(rng)
        group: list[Encoded] = []
        for _ in range(ABOUT_TWO):
            exchange = about_two(rng, self.gallery, shown)
            conversation = pose(rng, exchange, [IMAGE, IMAGE], setting=setting)
            which = exchange.answer["en"] in ("The first.", "The second.")
            self.join(group, WHICH if which else TWO, conversation, image)
        return group

    def questions_about_one(self, place: int, image: int) -> list[Encoded]:
        rng = self.rng
        setting = draw_setting(rng)
        group: list[Encoded] = []
        for _ in range(ABOUT_ONE):
            self.join(group, ONE, self.tasks.about(rng, self.album.pictures[place], setting=setting), image)
        return group

    def join(self, group: list[Encoded], kind: int, conversation: Conversation, image: int) -> None:
        """Adds a conversation that begins as the others do, pictures included, unless it is there already."""
        one = self.encode(kind, conversation, image)
        if group:
            first = group[0]
            if one.start != first.start or not np.array_equal(one.ids[: one.start], first.ids[: one.start]):
                return
            if any(np.array_equal(one.ids, other.ids) for other in group):
                return
        group.append(one)

    def batch(self) -> dict[str, np.ndarray]:
        rng, recipe, album = self.rng, self.recipe, self.album
        rows: list[Row] = []
        places: list[int] = []
        orders: list[int] = []
        for _ in range(recipe.single):
            row = Row()
            for _ in range(2):
                place = rng.choice(album.kinds[rng.choices(self.tasks.studio.KINDS, self.tasks.studio.SHARES)[0]])
                while not self.put(row, self.questions_about_one(place, len(places)), ROW // 2):
                    pass
                places.append(place)
                orders.append(0)
            rows.append(row)
        for _ in range(recipe.double):
            row = Row()
            shown = self.pair()
            pair = [rng.choice(album.showing[index]) for index in shown]
            while not self.put(row, self.questions_about_two(shown, len(places)), ROW):
                pass
            places += pair
            orders += [0, 1]
            rows.append(row)
        spoken, clips = self.speech()
        rows += spoken + [Row() for _ in range(recipe.text)]
        for row in rows:
            self.fill(row)
        ends = [i * ROW + int(at) for i, row in enumerate(rows) for at in np.flatnonzero(row.ids == END_OF_IMAGE)]
        assert len(ends) == len(places) == recipe.images
        return self.collate(rows) | {
            "pictures": np.array(places, np.int64), "classes": np.array([album.pictures[place].thing for place in places], np.int64),
            "orders": np.array(orders, np.int64), "ends": np.array(ends, np.int64), "clips": clips,
        }

    @staticmethod
    def put(row: Row, group: list[Encoded], room: int) -> int:
        return row.add_group(group, group[0].start, room)


def mix_album(queue: Queue, tokenizer: str, gallery: Gallery, album: Album, index: Path, recipe: Recipe, seed: int) -> None:
    """A process that makes batches once the clips are there."""
    while not index.exists():
        time.sleep(0.2)
    texts, languages = zip(*json.loads(index.read_text()))
    mixer = AlbumMixer(Tokenizer.from_file(tokenizer), gallery, album, Clips(texts, languages), recipe, seed)
    for _ in itertools.count():
        queue.put(mixer.batch())


class AlbumSource:
    """The queues in turn, sent to the device ahead of time."""

    def __init__(self, queues: list[Queue], device: torch.device) -> None:
        self.queues, self.device, self.count = queues, device, 0
        self.ready: dict[str, torch.Tensor] | None = None

    def prefetch(self) -> None:
        batch = self.queues[self.count % len(self.queues)].get()
        self.count += 1
        tensors = {name: torch.from_numpy(values) for name, values in batch.items()}
        if self.device.type == "cuda":
            tensors = {name: tensor.pin_memory().to(self.device, non_blocking=True) for name, tensor in tensors.items()}
        self.ready = tensors

    def next(self) -> dict[str, torch.Tensor]:
        if self.ready is None:
            self.prefetch()
        batch, self.ready = self.ready, None
        return batch
