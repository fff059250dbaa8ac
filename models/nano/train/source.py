"""Batches on the device: rows made by other processes, pictures drawn and clips made noisy on a stream of their own."""

import itertools
import json
import time
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from tokenizers import Tokenizer

from batches import Clips, Mixer, Recipe
from clips import Store
from drawing import Artist
from picture_questions import PictureTasks
from scenes import Gallery
from speech import BINS, CLIP_SAMPLES, FRAMES, HOP, TOKENS, LogMel, room

# Of each process, while pictures grow from easy to hard
EASY_BATCHES = 200


class Queue(Protocol):
    def get(self) -> dict[str, np.ndarray]: ...

    def put(self, batch: dict[str, np.ndarray]) -> None: ...


def mix(queue: Queue, tokenizer: str, gallery: Gallery, index: Path, recipe: Recipe, seed: int) -> None:
    """A process that makes batches once the clips are there."""
    while not index.exists():
        time.sleep(0.2)
    texts, languages = zip(*json.loads(index.read_text()))
    tasks = PictureTasks(gallery)
    mixer = Mixer(Tokenizer.from_file(tokenizer), tasks, Clips(texts, languages), recipe, seed)
    for made in itertools.count():
        tasks.studio.ease = max(0.0, 1 - made / EASY_BATCHES)
        queue.put(mixer.batch())


class Source:
    """The queues in turn, so that the order does not depend on which process is faster."""

    def __init__(self, queues: list[Queue], store: Store, artist: Artist) -> None:
        self.queues, self.store, self.artist, self.device = queues, store, artist, artist.device
        self.mel = LogMel(self.device)
        self.stream = torch.cuda.Stream() if self.device.type == "cuda" else None
        self.count = 0
        self.ready: dict[str, torch.Tensor] | None = None

    def make(self) -> dict[str, torch.Tensor]:
        batch = self.queues[self.count % len(self.queues)].get()
        self.count += 1
        send = self.artist.send
        clips = batch["clips"]
        samples = send(self.store.samples[clips]).float() / 32768
        lengths = send(self.store.lengths[clips].astype(np.int64))
        out = {name: send(values) for name, values in batch.items() if name not in ("scenes", "clips")}
        out["pixels"] = self.artist.draw(batch["scenes"])
        out["mel"] = self.mel(room(samples, lengths))
        out["padded"] = torch.arange(FRAMES, device=self.device)[None] * HOP >= lengths[:, None]
        out["phonemes"] = send(self.store.phonemes[clips].astype(np.int64))
        return out

    def prefetch(self) -> None:
        if self.stream is None:
            self.ready = self.make()
            return
        with torch.cuda.stream(self.stream):
            self.ready = self.make()

    def next(self) -> dict[str, torch.Tensor]:
        if self.ready is None:
            self.prefetch()
        if self.stream is not None:
            torch.cuda.current_stream().wait_stream(self.stream)
            for tensor in self.ready.values():
                tensor.record_stream(torch.cuda.current_stream())
        batch, self.ready = self.ready, None
        return batch


class Once:
    """A queue of one batch."""

    def __init__(self, batch: dict[str, np.ndarray]) -> None:
        self.batch = batch

    def get(self) -> dict[str, np.ndarray]:
        return self.batch

    def put(self, batch: dict[str, np.ndarray]) -> None:
        self.batch = batch


def trial_batch(tokenizer: str, gallery: Gallery, recipe: Recipe, artist: Artist) -> dict[str, torch.Tensor]:
    """A batch with clips of noise, to compile with while the real ones are made."""
    batch = Mixer(Tokenizer.from_file(tokenizer), PictureTasks(gallery), Clips(["Go left."], ["en"]), recipe, 0).batch()
    samples = np.random.default_rng(0).integers(-9000, 9000, (recipe.audio, CLIP_SAMPLES), np.int16)
    lengths = np.full(recipe.audio, CLIP_SAMPLES // 2, np.int32)
    store = Store(samples, lengths, np.zeros((recipe.audio, TOKENS, BINS), np.int16), [], [])
    return Source([Once(batch | {"clips": np.arange(recipe.audio)})], store, artist).next()
