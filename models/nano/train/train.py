#!/usr/bin/env python3
"""Trains g3n-nano on one GPU; README.md has the commands.

    train.py --pictures pictures.json.gz --tokenizer TOKENIZER --work WORK --out OUT [--seconds 1200 | --steps N]

Writes the averaged weights in Hugging Face layout, log.jsonl and loss.png to OUT.
"""

import argparse
import copy
import itertools
import json
import math
import multiprocessing
import queue as queue_module
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from timm.layers import RmsNormAct2d
from transformers import Gemma3nForConditionalGeneration
from transformers.models.gemma3n import modeling_gemma3n

from batches import KINDS, Clips, Mixer, Recipe
from clips import Store, load_store
from configuration import nano_config
from curves import draw_curves
from drawing import Artist, load_gallery
from forward import Trainee, prepare_for_training
from prepare_pictures import TRAINING_STYLES
from scenes import Gallery, PictureTasks
from speech import BINS, CLIP_SAMPLES, FRAMES, HOP, TOKENS, LogMel, room

PEAK_RATE = 2e-3
# At 2e-3 the residual stream of the vision tower explodes within a few hundred steps, and its pictures all look alike.
VISION_RATE = 6e-4
WARM_UP = 100
FLOOR = 0.02
WEIGHT_DECAY = 0.03
CLIP_NORM = 1.0
AVERAGING = 0.99
LAYER_SCALE = 0.2
# What the stem's filters keep of their mean
STEM_MEAN = 0.2
# Shares of the losses of the two heads, at the start and at the end
HEADS = (1.0, 0.1)
MEASURED_STEPS = 40
# Of each worker, while pictures grow from easy to hard
EASY_BATCHES = 50


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=Path, required=True)
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True, help="where the spoken clips are kept")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=1200, help="from which the number of steps follows")
    parser.add_argument("--steps", type=int, default=0)
    parser.add_argument("--clips", type=int, default=64_000)
    parser.add_argument("--workers", type=int, default=6)
    parser.add_argument("--processes", type=int, default=16, help="for making clips and sprites")
    parser.add_argument("--scale", type=float, default=1.0, help="of the batch")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rate", type=float, default=1.0, help="times the peak rates of learning")
    parser.add_argument("--start", type=Path, help="a checkpoint whose weights to start from")
    parser.add_argument("--fresh-vision", action="store_true", help="a new vision tower beside the weights of --start")
    parser.add_argument("--save-every", type=float, default=240, help="seconds")
    parser.add_argument("--compile", choices=["whole", "parts", "none"], default="whole")
    parser.add_argument("--no-graph", action="store_true")
    return parser.parse_args()


def mix(queue, tokenizer: str, gallery: Gallery, index: Path, recipe: Recipe, seed: int) -> None:
    """A process that makes batches once the clips are there."""
    while not index.exists():
        time.sleep(0.2)
    texts, languages = zip(*json.loads(index.read_text()))
    tasks = PictureTasks(gallery)
    mixer = Mixer(Tokenizer.from_file(tokenizer), tasks, Clips(texts, languages), recipe, seed)
    for made in itertools.count():
        tasks.ease = max(0.0, 1 - made / EASY_BATCHES)
        queue.put(mixer.batch())


class Source:
    """Batches on the device: packed rows as they come, pictures drawn and clips made noisy on a stream of their own."""

    def __init__(self, queues: list, store: Store, artist: Artist, device: torch.device) -> None:
        self.queues, self.store, self.artist, self.device = queues, store, artist, device
        self.mel = LogMel(device)
        self.stream = torch.cuda.Stream() if device.type == "cuda" else None
        self.count = 0
        self.ready = None

    def make(self) -> dict[str, torch.Tensor]:
        batch = self.queues[self.count % len(self.queues)].get()
        self.count += 1
        send = self.artist.send
        clips = batch.pop("clips")
        samples = send(self.store.samples[clips]).float() / 32768
        lengths = send(self.store.lengths[clips].astype(np.int64))
        out = {name: send(values) for name, values in batch.items() if name != "scenes"}
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


def trial_batch(options: argparse.Namespace, gallery: Gallery, recipe: Recipe, artist: Artist, device: torch.device) -> dict[str, torch.Tensor]:
    """A batch with clips of noise."""
    tokenizer = Tokenizer.from_file(str(options.tokenizer / "tokenizer.json"))
    batch = Mixer(tokenizer, PictureTasks(gallery), Clips(["Go left."], ["en"]), recipe, 0).batch()
    size = (recipe.audio, CLIP_SAMPLES)
    store = Store(
        np.random.default_rng(0).integers(-9000, 9000, size, np.int16), np.full(recipe.audio, CLIP_SAMPLES // 2, np.int32),
        np.zeros((recipe.audio, TOKENS, BINS), np.int16), [], [],
    )
    queue = queue_module.Queue()
    queue.put(batch | {"clips": np.arange(recipe.audio)})
    return Source([queue], store, artist, device).next()


class Stepper:
    """Losses and gradients of a batch, captured in a CUDA graph where that is asked for."""

    def __init__(self, trainee: Trainee, device: torch.device, *, captured: bool) -> None:
        self.trainee, self.device, self.captured = trainee, device, captured
        self.share = torch.tensor(HEADS[0], device=device)
        self.inputs: dict[str, torch.Tensor] = {}
        self.graph = None

    def compute(self, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        self.trainee.zero_grad(set_to_none=True)
        with torch.autocast("cuda", torch.bfloat16, enabled=self.device.type == "cuda", cache_enabled=not self.captured):
            losses, right = self.trainee.losses(batch)
        (losses[0] + self.share * (losses[1] + losses[2])).backward()
        return losses.detach(), right

    def capture(self, batch: dict[str, torch.Tensor]) -> None:
        self.inputs = {name: tensor.clone() for name, tensor in batch.items()}
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                self.compute(self.inputs)
        torch.cuda.current_stream().wait_stream(side)
        self.graph = torch.cuda.CUDAGraph()
        self.trainee.zero_grad(set_to_none=True)
        with torch.cuda.graph(self.graph):
            self.outputs = self.compute(self.inputs)

    def __call__(self, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        if not self.captured:
            return self.compute(batch)
        if self.graph is None:
            try:
                self.capture(batch)
            except RuntimeError as error:
                print(f"Steps are not captured: {error}", file=sys.stderr, flush=True)
                self.captured = False
                return self.compute(batch)
        for name, tensor in batch.items():
            self.inputs[name].copy_(tensor)
        self.graph.replay()
        return self.outputs


@torch.no_grad()
def start_vision(model: Gemma3nForConditionalGeneration) -> None:
    """Initial weights of the vision tower under which pictures differ.

    Its norms do not subtract a mean, so what all pictures have in common (0 to 1 is far from centred, and so is GELU)
    swamps the rest within a few layers: a third of the features' energy tells pictures apart with these weights, a
    hundredth with Transformers' own.
    """
    tower = model.model.vision_tower.timm_model
    projection = model.model.embed_vision.embedding_projection
    named = [*tower.named_parameters(), ("embedding_projection", projection.weight)]
    for name, weight in named:
        if name.endswith("layer_scale.gamma"):
            weight.fill_(LAYER_SCALE)
        if weight.dim() < 2:
            continue
        torch.nn.init.normal_(weight, std=weight[0].numel() ** -0.5)
        if weight.dim() == 4 and weight.shape[1] == 1:
            # Depthwise: the middle, and a little noise.
            weight.mul_(0.5)
            weight[:, :, weight.shape[2] // 2, weight.shape[3] // 2] += 1
        else:
            kept = STEM_MEAN if "stem" in name else 0.0
            weight.sub_((1 - kept) * weight.mean(dim=tuple(range(1, weight.dim())), keepdim=True))


def build(seed: int, start: Path | None, classes: int, *, fresh_vision: bool = False) -> Trainee:
    torch.manual_seed(seed)
    if start:
        model = Gemma3nForConditionalGeneration.from_pretrained(start, dtype=torch.float32)
    else:
        model = Gemma3nForConditionalGeneration(nano_config())
    if fresh_vision or not start:
        start_vision(model)
    prepare_for_training(model)
    # eval(): there is no dropout, and AltUp's clamp of weights in training mode is far outside what they reach.
    return Trainee(model, classes).eval()


def compile_parts(trainee: Trainee, *, whole: bool) -> None:
    """Blocks of one kind share their code. Whole blocks make the fastest steps and take three minutes to compile; norms and
    AltUp alone take most of the gain in a fraction of that."""
    torch._dynamo.config.suppress_errors = True
    torch._dynamo.config.recompile_limit = 256
    torch._dynamo.config.accumulated_recompile_limit = 1024
    model = trainee.model.model
    vision = model.vision_tower.timm_model
    if whole:
        blocks = [block for stage in vision.blocks for block in stage]
        for block in [vision.conv_stem, *blocks, vision.msfa, *model.language_model.layers, *model.audio_tower.conformer]:
            block.compile(dynamic=False)
        return
    for module in vision.modules():
        if isinstance(module, RmsNormAct2d):
            module.compile(dynamic=True)
    altup = modeling_gemma3n.Gemma3nTextAltUp
    altup.predict = torch.compile(altup.predict, dynamic=False)
    altup.correct = torch.compile(altup.correct, dynamic=False)
    for layer in model.language_model.layers:
        for name in ("input_layernorm", "post_attention_layernorm", "pre_feedforward_layernorm", "post_feedforward_layernorm",
                     "post_per_layer_input_norm"):
            getattr(layer, name).compile(dynamic=False)


def optimizer_of(trainee: Trainee, device: torch.device) -> torch.optim.Optimizer:
    """Four groups: with and without decay, the vision tower at its own rate ("peak")."""
    groups: dict[tuple[bool, bool], list] = {}
    for name, parameter in trainee.named_parameters():
        decayed = parameter.dim() >= 2 and "embed_tokens" not in name and ".embedding." not in name
        groups.setdefault(("vision" in name, decayed), []).append(parameter)
    return torch.optim.AdamW([
        {"params": parameters, "weight_decay": WEIGHT_DECAY if decayed else 0.0, "peak": VISION_RATE if vision else PEAK_RATE}
        for (vision, decayed), parameters in groups.items()
    ], lr=PEAK_RATE, betas=(0.9, 0.98), eps=1e-8, fused=device.type == "cuda")


def rate_at(step: int, steps: int) -> float:
    """A share of the peak: up in a line, down along a cosine."""
    if step < WARM_UP:
        return (step + 1) / WARM_UP
    progress = min(1.0, (step - WARM_UP) / max(1, steps - WARM_UP))
    return FLOOR + (1 - FLOOR) * 0.5 * (1 + math.cos(math.pi * progress))


def save(trainee: Trainee, averaged: list[torch.Tensor], out: Path) -> None:
    """The averaged weights as a bfloat16 checkpoint, with the tokenizer's files beside it."""
    model = copy.deepcopy(trainee.model).cpu()
    values = dict(zip([name for name, _ in trainee.named_parameters()], averaged))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(values[f"model.{name}"])
    model.to(torch.bfloat16).save_pretrained(out, max_shard_size="13MB")


def right_shares(right: torch.Tensor, kinds: torch.Tensor) -> dict[str, float]:
    return {name: round(right[kinds == i].float().mean().item(), 4) for i, name in enumerate(KINDS)}


class Log:
    def __init__(self, path: Path) -> None:
        self.path, self.begun = path, time.time()

    def write(self, **record: object) -> None:
        line = json.dumps({"seconds": round(time.time() - self.begun, 1), **record})
        with self.path.open("a") as file:
            file.write(line + "\n")
        print(line, flush=True)


def train(options: argparse.Namespace, step_of: Stepper, source: Source, log: Log) -> None:
    trainee, device = step_of.trainee, step_of.device
    optimizer = optimizer_of(trainee, device)
    parameters = list(trainee.parameters())
    seeing = [parameter for name, parameter in trainee.named_parameters() if "vision" in name]
    speaking = [parameter for name, parameter in trainee.named_parameters() if "vision" not in name]
    averaged = [parameter.detach().clone() for parameter in parameters]
    steps = options.steps or 10**9
    step, measured, saved = 0, 0.0, time.time()
    while step < steps:
        batch = source.next()
        kinds = batch["kinds"]
        step_of.share.fill_(HEADS[0] + (HEADS[1] - HEADS[0]) * min(1.0, step / steps))
        losses, right = step_of(batch)
        source.prefetch()
        # The towers apart: large gradients of one must not slow the other.
        norm = torch.nn.utils.clip_grad_norm_(seeing, CLIP_NORM)
        torch.nn.utils.clip_grad_norm_(speaking, CLIP_NORM)
        for group in optimizer.param_groups:
            group["lr"] = options.rate * group["peak"] * rate_at(step, steps)
        optimizer.step()
        with torch.no_grad():
            torch._foreach_lerp_(averaged, parameters, 1 - min(AVERAGING, (step + 1) / (step + 10)))
        step += 1
        if step % 50 == 0 or step < 4:
            answers, picture, phoneme = losses.tolist()
            log.write(step=step, of=steps, answers=round(answers, 4), picture=round(picture, 4), phoneme=round(phoneme, 4),
                      norm=round(norm.item(), 3), right=right_shares(right, kinds))
        if not options.steps and steps == 10**9 and step in (20, 20 + MEASURED_STEPS):
            if device.type == "cuda":
                torch.cuda.synchronize()
            if step == 20:
                measured = time.time()
            else:
                each = (time.time() - measured) / MEASURED_STEPS
                left = options.seconds - (time.time() - log.begun)
                steps = step + int(left * 0.97 / each)
                log.write(milliseconds_per_step=round(1000 * each, 2), steps=steps)
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
    clips_folder = options.work / "clips"
    clips_folder.mkdir(parents=True, exist_ok=True)
    maker = subprocess.Popen([sys.executable, str(Path(__file__).with_name("clips.py")), str(clips_folder), str(options.clips),
                              str(options.processes), str(options.seed)])
    gallery, sprites = load_gallery(options.pictures, TRAINING_STYLES, options.processes)
    log.write(sprites=len(sprites))
    recipe = Recipe()
    recipe = replace(recipe, **{name: max(1, round(value * options.scale)) for name, value in vars(recipe).items()})
    context = multiprocessing.get_context("fork")
    queues = [context.Queue(4) for _ in range(options.workers)]
    for i, queue in enumerate(queues):
        seed = options.seed * 1000 + i
        job = (queue, str(options.tokenizer / "tokenizer.json"), gallery, clips_folder / "index.json", recipe, seed)
        context.Process(target=mix, args=job, daemon=True).start()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    trainee = build(options.seed, options.start, len(gallery.things), fresh_vision=options.fresh_vision).to(device)
    if options.compile != "none":
        compile_parts(trainee, whole=options.compile == "whole")
    artist = Artist(sprites, device)
    step_of = Stepper(trainee, device, captured=device.type == "cuda" and not options.no_graph)
    if options.compile != "none":
        # Compiles while the clips are made.
        step_of.compute(trial_batch(options, gallery, recipe, artist, device))
        log.write(compiled=True)
    if maker.wait() != 0:
        raise SystemExit("Making the clips failed")
    store = load_store(clips_folder)
    log.write(clips=len(store.texts))
    train(options, step_of, Source(queues, store, artist, device), log)
    draw_curves(options.out / "log.jsonl", options.out / "loss.png")


if __name__ == "__main__":
    main()
