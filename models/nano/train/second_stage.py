#!/usr/bin/env python3
"""Trains the decoder of g3n-nano on, with frozen towers; README.md has the command.

    second_stage.py --start CHECKPOINT --pictures pictures.json.gz --tokenizer TOKENIZER --work WORK --out OUT [--seconds 500 | --steps N]

Writes the averaged weights in Hugging Face layout, log.jsonl and loss.png to OUT.
"""

import argparse
import multiprocessing
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from transformers import Gemma3nForConditionalGeneration

from album import apart, compose, listen, look, project, sharpen
from album_batches import RECIPE, AlbumSource, mix_album
from clips import load_store
from curves import draw_curves
from drawing import Artist, load_gallery
from forward import prepare_for_training
from prepare_pictures import TRAINING_STYLES
from reader import Reader
from start import compile_blocks
from stepper import Stepper
from train import UNKNOWN, Log, train

# Pictures from which the statistics of soft tokens come
SAMPLE = 4096


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--start", type=Path, required=True, help="the checkpoint of the first stage")
    parser.add_argument("--pictures", type=Path, required=True)
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True, help="where the spoken clips are kept")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=500, help="from which the number of steps follows")
    parser.add_argument("--steps", type=int, default=UNKNOWN)
    parser.add_argument("--clips", type=int, default=24_000)
    parser.add_argument("--each", type=int, default=48, help="pictures of each thing")
    parser.add_argument("--workers", type=int, default=12)
    parser.add_argument("--processes", type=int, default=14, help="for making clips and sprites")
    parser.add_argument("--scale", type=float, default=1.0, help="of the batch")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=float, default=0.6, help="times the peak rates of learning")
    parser.add_argument("--save-every", type=float, default=120, help="seconds")
    parser.add_argument("--no-compile", action="store_true")
    parser.add_argument("--no-graph", action="store_true")
    return parser.parse_args()


def build_reader(start: Path, classes: int, seed: int) -> Reader:
    torch.manual_seed(seed)
    model = Gemma3nForConditionalGeneration.from_pretrained(start, dtype=torch.float32)
    prepare_for_training(model)
    return Reader(model, classes).eval()


def main() -> None:
    options = arguments()
    options.out.mkdir(parents=True, exist_ok=True)
    log = Log(options.out / "log.jsonl")
    clips = options.work / "clips"
    command = [sys.executable, Path(__file__).with_name("clips.py"), clips, options.clips, options.processes, options.seed]
    maker = subprocess.Popen([str(part) for part in command])
    gallery, sprites = load_gallery(options.pictures, TRAINING_STYLES, options.processes)
    album = compose(gallery, options.each, options.seed)
    log.write(sprites=len(sprites), pictures=len(album.pictures))
    recipe = replace(RECIPE, **{name: max(1, round(getattr(RECIPE, name) * options.scale)) for name in ("single", "double", "audio", "text")})
    tokenizer = str(options.tokenizer / "tokenizer.json")
    # Forked before anything touches the GPU
    context = multiprocessing.get_context("fork")
    queues = [context.Queue(4) for _ in range(options.workers)]
    for i, queue in enumerate(queues):
        job = (queue, tokenizer, gallery, album, clips / "index.json", recipe, options.seed * 1000 + i)
        context.Process(target=mix_album, args=job, daemon=True).start()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    reader = build_reader(options.start, len(gallery.things), options.seed).to(device)
    artist = Artist(sprites, device)
    projected = project(reader, artist, album.pictures[:SAMPLE])
    before = apart(F.rms_norm(projected, projected.shape[-1:]))
    sharpen(reader.model, projected)
    reader.seen = look(reader, artist, album.pictures)
    log.write(looked=len(album.pictures), apart_before=before, apart=apart(reader.seen[:SAMPLE]))
    if maker.wait() != 0:
        raise SystemExit("Making the clips failed")
    reader.heard, reader.ended = listen(reader.model, load_store(clips), artist)
    log.write(listened=len(reader.heard))
    source = AlbumSource(queues, device)
    step_of = Stepper(reader, device, captured=device.type == "cuda" and not options.no_graph)
    if not options.no_compile:
        compile_blocks(list(reader.model.model.language_model.layers))
        step_of.compute(source.next())
        log.write(compiled=True)
    train(options, step_of, source, log, lambda: None)
    draw_curves(options.out / "log.jsonl", options.out / "loss.png")


if __name__ == "__main__":
    main()
