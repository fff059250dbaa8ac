"""Pictures drawn beforehand, and what the frozen towers make of pictures and clips."""

import random
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from transformers import Gemma3nForConditionalGeneration

from clips import Store
from drawing import Artist, pack_scenes
from forward import Trainee
from scenes import Gallery, Picture, Studio
from speech import FRAMES, HOP, TOKENS, LogMel, room

CHUNK = 256
# Of the mean energy, where the soft tokens hardly vary
RIDGE = 1e-3
# Of the largest gain, for what tells no pictures apart
FLOOR = 0.1
# What all soft tokens have in common, to the rest: under the norm that follows, an empty ground stays fainter than a thing
KEPT = 0.3


@dataclass(frozen=True)
class Album:
    pictures: list[Picture]
    # Places of the pictures of each thing alone
    showing: list[list[int]]
    # Places of the pictures of each kind
    kinds: dict[str, list[int]]


def compose(gallery: Gallery, each: int, seed: int) -> Album:
    """`each` pictures of every thing, and others in proportion, in random order."""
    rng, studio = random.Random(seed), Studio(gallery)
    pictures = [studio.thing(rng, index) for index in gallery.available for _ in range(each)]
    shares = dict(zip(studio.KINDS, studio.SHARES))
    named = len(pictures)
    for kind in studio.KINDS[1:]:
        pictures += [studio.picture(rng, kind) for _ in range(round(named * shares[kind] / shares["thing"]))]
    rng.shuffle(pictures)
    showing: list[list[int]] = [[] for _ in gallery.things]
    kinds: dict[str, list[int]] = {kind: [] for kind in studio.KINDS}
    for place, picture in enumerate(pictures):
        kinds[picture.kind].append(place)
        if picture.kind in ("thing", "ground"):
            showing[picture.thing].append(place)
    return Album(pictures, showing, kinds)


def draw(artist: Artist, pictures: list[Picture]) -> Iterator[torch.Tensor]:
    """Pixels of some pictures at a time."""
    for start in range(0, len(pictures), CHUNK):
        yield artist.draw(pack_scenes([picture.scene for picture in pictures[start : start + CHUNK]]))


@torch.no_grad()
def look(trainee: Trainee, artist: Artist, pictures: list[Picture]) -> torch.Tensor:
    """Soft tokens of pictures [N, slots, D] float16."""
    return torch.cat([trainee.pictures(pixels).half() for pixels in draw(artist, pictures)])


@torch.no_grad()
def project(trainee: Trainee, artist: Artist, pictures: list[Picture]) -> torch.Tensor:
    """Soft tokens [N, slots, D] before their last norm."""
    model = trainee.model.model
    out = []
    for pixels in draw(artist, pictures):
        seen = model.vision_tower(pixel_values=pixels, do_pooling=False, return_dict=True).last_hidden_state
        seen = seen.flatten(2).transpose(1, 2) * seen.shape[1] ** 0.5
        out.append(model.embed_vision.embedding_projection(model.embed_vision.soft_embedding_norm(seen)))
    return torch.cat(out)


def contrast(projected: torch.Tensor) -> torch.Tensor:
    """The map [D, D] of projected soft tokens [N, slots, D] under which pictures differ most.

    What all tokens have in common, nine tenths of their energy, shrinks to KEPT. The rest is whitened, then a direction
    gains by the share of its energy with which pictures, that is means over their tokens, differ.
    """
    values = projected.double()
    tokens = values.flatten(0, 1)
    mean, moment = tokens.mean(0), tokens.T @ tokens / len(tokens)
    identity = torch.eye(len(mean), dtype=moment.dtype)
    # There is no bias, but this product is nearly 1 for every token.
    one = torch.linalg.solve(moment + 1e-6 * moment.trace() / len(mean) * identity, mean)
    one /= one @ mean
    centred = identity - torch.outer(mean, one)
    energy, axes = torch.linalg.eigh(centred @ moment @ centred.T)
    whitened = (axes * (energy.clamp(min=0) + RIDGE * energy.mean()).rsqrt()) @ axes.T @ centred
    differing, axes = torch.linalg.eigh(torch.cov((values.mean(1) @ whitened.T).T))
    energy = (axes.T @ whitened @ moment @ whitened.T @ axes).diag()
    share = differing.clamp(min=0) / (energy + RIDGE * energy.mean())
    sharp = (axes * (share / share.max() + FLOOR**2).sqrt()) @ axes.T @ whitened
    size = (sharp @ moment @ sharp.T).trace().sqrt()
    return sharp + torch.outer(axes[:, 0] * KEPT * size, one)


@torch.no_grad()
def sharpen(model: Gemma3nForConditionalGeneration, projected: torch.Tensor) -> None:
    """Folds contrast() into the projection, whose norm stays: a norm without weight follows.

    Rounded as the checkpoint will be, so that the soft tokens are those of the checkpoint.
    """
    weight = model.model.embed_vision.embedding_projection.weight
    changed = contrast(projected.cpu()) @ weight.double().cpu()
    changed = changed * (weight.norm().item() / changed.norm())
    weight.copy_(changed.bfloat16().to(weight))


def apart(soft: torch.Tensor) -> float:
    """Share of the energy of soft tokens [N, slots, D] with which the means of pictures differ."""
    soft = soft.float()
    return (soft.mean(1).var(0).mean() / soft.pow(2).mean()).item()


@torch.no_grad()
def listen(model: Gemma3nForConditionalGeneration, store: Store, artist: Artist) -> tuple[torch.Tensor, torch.Tensor]:
    """What the audio tower makes of all clips, [C, TOKENS, width] float32, and where they have ended [C, TOKENS]."""
    mel, heard, ended = LogMel(artist.device), [], []
    for start in range(0, len(store.lengths), CHUNK):
        part = slice(start, start + CHUNK)
        samples = artist.send(np.asarray(store.samples[part])).float() / 32768
        lengths = artist.send(store.lengths[part].astype(np.int64))
        padded = torch.arange(FRAMES, device=artist.device)[None] * HOP >= lengths[:, None]
        out = model.model.audio_tower(mel(room(samples, lengths)), padded, return_dict=True)
        heard.append(out.last_hidden_state)
        ended.append(out.audio_mel_mask)
    assert heard[0].shape[1] == TOKENS
    return torch.cat(heard), torch.cat(ended)
