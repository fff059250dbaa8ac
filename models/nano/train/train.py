#!/usr/bin/env python3
"""Trains g3n-nano on one GPU; README.md has the commands.

    train.py --pictures pictures.json.gz --tokenizer TOKENIZER --work WORK --out OUT [--seconds 1200 | --steps N]

Writes the averaged weights in Hugging Face layout, log.jsonl and loss.png to OUT.
"""

import argparse
import copy
import json
import math
import multiprocessing
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from batches import KINDS, Recipe
from clips import load_store
from curves import draw_curves
from drawing import Artist, load_gallery
from forward import Trainee
from prepare_pictures import TRAINING_STYLES
from source import Source, mix, trial_batch
from start import Steadier, blocks_of, build, compile_blocks, optimizer_of
from stepper import Stepper

WARM_UP = 300
FLOOR = 0.02
CLIP_NORM = 1.0
AVERAGING = 0.998
# Shares of the losses of the two heads, at the start and at the end
HEADS = (1.0, 0.1)
# The number of steps follows from the time of some early ones.
UNKNOWN = 10**9
FIRST_MEASURED, LAST_MEASURED = 20, 60


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=Path, required=True)
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True, help="where the spoken clips are kept")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=1200, help="from which the number of steps follows")
    parser.add_argument("--steps", type=int, default=UNKNOWN)
    parser.add_argument("--clips", type=int, default=64_000)
    parser.add_argument("--workers", type=int, default=6)
    parser.add_argument("--processes", type=int, default=12, help="for making clips and sprites")
    parser.add_argument("--scale", type=float, default=1.0, help="of the batch")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rate", type=float, default=1.0, help="times the peak rates of learning")
    parser.add_argument("--start", type=Path, help="a checkpoint whose weights to start from")
    parser.add_argument("--fresh-vision", action="store_true", help="a new vision tower beside the weights of --start")
    parser.add_argument("--save-every", type=float, default=150, help="seconds")
    parser.add_argument("--no-compile", action="store_true")
    parser.add_argument("--no-graph", action="store_true")
    return parser.parse_args()


def rate_at(step: int, steps: int) -> float:
    """A share of the peak: up in a line, down along a cosine."""
    if step < WARM_UP:
        return (step + 1) / WARM_UP
    progress = min(1.0, (step - WARM_UP) / max(1, steps - WARM_UP))
    return FLOOR + (1 - FLOOR) * 0.5 * (1 + math.cos(math.pi * progress))


def learned(trainee: Trainee) -> dict[str, torch.nn.Parameter]:
    return {name: parameter for name, parameter in trainee.named_parameters() if parameter.requires_grad}


def save(trainee: Trainee, averaged: list[torch.Tensor], out: Path) -> None:
    """The averaged weights, and those that are not learned, as a bfloat16 checkpoint."""
    model = copy.deepcopy(trainee.model).cpu()
    values = dict(zip(learned(trainee), averaged))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if (value := values.get(f"model.{name}")) is not None:
                parameter.copy_(value)
    model.to(torch.bfloat16).save_pretrained(out, max_shard_size="13MB")


class Log:
    def __init__(self, path: Path) -> None:
        self.path, self.begun = path, time.time()

    def seconds(self) -> float:
        return time.time() - self.begun

    def write(self, **record: object) -> None:
        line = json.dumps({"seconds": round(self.seconds(), 1), **record})
        with self.path.open("a") as file:
            file.write(line + "\n")
        print(line, flush=True)

    def write_step(self, step: int, steps: int, losses: dict[str, float], right: torch.Tensor, kinds: torch.Tensor, norms: list[torch.Tensor]) -> None:
        shares = {name: round(right[kinds == i].float().mean().item(), 4) for i, name in enumerate(KINDS) if (kinds == i).any()}
        rounded = {name: round(value, 4) for name, value in losses.items()}
        self.write(step=step, of=steps, **rounded, norms=[round(norm.item(), 3) for norm in norms], right=shares)


class Clock:
    """Finds how many steps fit into the time that is left."""

    def __init__(self, seconds: float, log: Log) -> None:
        self.seconds, self.log, self.begun = seconds, log, 0.0

    def steps_after(self, step: int) -> int:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        if step == FIRST_MEASURED:
            self.begun = time.time()
            return UNKNOWN
        each = (time.time() - self.begun) / (LAST_MEASURED - FIRST_MEASURED)
        steps = step + int((self.seconds - self.log.seconds()) * 0.97 / each)
        self.log.write(milliseconds_per_step=round(1000 * each, 2), steps=steps)
        return steps


def train(options: argparse.Namespace, step_of: Stepper, source: Source, log: Log, steady: Callable[[], None]) -> None:
    """The loop; `steady` is called after each step."""
    trainee = step_of.trainee
    optimizer = optimizer_of(trainee, step_of.device)
    named = learned(trainee)
    parameters = list(named.values())
    # The vision tower apart: large gradients of one part must not slow the other.
    parts = [[parameter for name, parameter in named.items() if ("vision" in name) == seeing] for seeing in (True, False)]
    averaged = [parameter.detach().clone() for parameter in parameters]
    clock = Clock(options.seconds, log)
    steps, step, saved = options.steps, 0, time.time()
    while step < steps:
        batch = source.next()
        step_of.share.fill_(HEADS[0] + (HEADS[1] - HEADS[0]) * min(1.0, step / steps))
        losses, right = step_of(batch)
        source.prefetch()
        norms = [torch.nn.utils.clip_grad_norm_(part, CLIP_NORM) for part in parts]
        for group in optimizer.param_groups:
            group["lr"] = options.rate * group["peak"] * rate_at(step, steps)
        optimizer.step()
        steady()
        with torch.no_grad():
            torch._foreach_lerp_(averaged, parameters, 1 - min(AVERAGING, (step + 1) / (step + 10)))
        step += 1
        if step % 50 == 0 or step < 4:
            log.write_step(step, steps, dict(zip(trainee.LOSSES, losses.tolist())), right, batch["kinds"], norms)
        if options.steps == UNKNOWN and step in (FIRST_MEASURED, LAST_MEASURED):
            steps = clock.steps_after(step)
        if time.time() - saved > options.save_every:
            save(trainee, averaged, options.out)
            saved = time.time()
            log.write(saved=step)
    save(trainee, averaged, options.out)
    log.write(done=step)


def main() -> None:
    options = arguments()
    options.out.mkdir(parents=True, exist_ok=True)
    log = Log(options.out / "log.jsonl")
    clips = options.work / "clips"
    command = [sys.executable, Path(__file__).with_name("clips.py"), clips, options.clips, options.processes, options.seed]
    maker = subprocess.Popen([str(part) for part in command])
    gallery, sprites = load_gallery(options.pictures, TRAINING_STYLES, options.processes)
    log.write(sprites=len(sprites))
    recipe = Recipe()
    recipe = replace(recipe, **{name: max(1, round(value * options.scale)) for name, value in vars(recipe).items()})
    tokenizer = str(options.tokenizer / "tokenizer.json")
    # Forked before anything touches the GPU
    context = multiprocessing.get_context("fork")
    queues = [context.Queue(4) for _ in range(options.workers)]
    for i, queue in enumerate(queues):
        job = (queue, tokenizer, gallery, clips / "index.json", recipe, options.seed * 1000 + i)
        context.Process(target=mix, args=job, daemon=True).start()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    trainee = build(options.seed, options.start, len(gallery.things), fresh_vision=options.fresh_vision).to(device)
    artist = Artist(sprites, device)
    step_of = Stepper(trainee, device, captured=device.type == "cuda" and not options.no_graph)
    if not options.no_compile:
        compile_blocks(blocks_of(trainee))
        step_of.compute(trial_batch(tokenizer, gallery, recipe, artist))
        log.write(compiled=True)
    if maker.wait() != 0:
        raise SystemExit("Making the clips failed")
    train(options, step_of, Source(queues, load_store(clips), artist), log, Steadier(trainee.model))
    draw_curves(options.out / "log.jsonl", options.out / "loss.png")


if __name__ == "__main__":
    main()
