#!/usr/bin/env python3
"""Times Transformers on a GPU with the shapes of the released models.

    pip install 'torch>=2.8' transformers==5.17.0 timm
    transformers_gpu.py [--sizes e2b,e4b] [--parts decode,compiled,prefill,picture,sound]
                        [--dtype bfloat16] [--tokens 64] [--tiny] [--device cuda]

Weights are random and made on the GPU: nothing is downloaded or read. Lines are
those of bench/models/webgpu_bench.ts, so that bench/gpu.ts can set them beside
each other:

    decode    generate() as it is, one token after another, with a growing cache
    compiled  generate() with a static cache, which compiles the decoder with
              torch.compile and replays it as a CUDA graph
    prefill   the logits of a prompt's last token, into a new cache
    picture   get_image_features() of one picture of 768 x 768
    sound     get_audio_features() of one clip of 30 s

`--tiny --device cpu` runs all of it in miniature, without a GPU.
"""

import argparse
import gc
import logging
import statistics
import time

import torch
import transformers
from transformers import (
    CompileConfig,
    Gemma3nAudioConfig,
    Gemma3nConfig,
    Gemma3nForCausalLM,
    Gemma3nForConditionalGeneration,
    Gemma3nTextConfig,
    Gemma3nVisionConfig,
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
)

PARTS = ("decode", "compiled", "prefill", "picture", "sound")
CONTEXT = 128
PROMPTS = (512, 2048)
PICTURE_SIDE = 768
CLIP_FRAMES = 3000  # of 10 ms
WARM_UP = 4
ROUNDS = 3
TOWER_ROUNDS = 8
# Layers, width of the MLP, and layers that share keys and values; all else is alike.
SIZES = {"e2b": (30, 8192, 10), "e4b": (35, 16384, 15)}


def released_config(size):
    layers, width, shared = SIZES[size]
    return Gemma3nTextConfig(
        num_hidden_layers=layers, intermediate_size=width, num_kv_shared_layers=shared
    )


def tiny_config():
    return Gemma3nTextConfig(
        vocab_size=512,
        vocab_size_per_layer_input=512,
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=10,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,
        hidden_size_per_layer_input=32,
        laurel_rank=8,
        num_kv_shared_layers=5,
        sliding_window=32,
        max_position_embeddings=4096,
        activation_sparsity_pattern=[0.95] * 2 + [0.0] * 8,
    )


class Bench:
    """What to measure, and where."""

    def __init__(self, args):
        self.device = torch.device(args.device)
        self.dtype = getattr(torch, args.dtype)
        self.tokens = args.tokens
        self.tiny = args.tiny
        # Those of the bench of this library.
        self.context = 16 if args.tiny else CONTEXT
        self.prompts = (128,) if args.tiny else PROMPTS

    def synchronize(self):
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def make(self, model_class, config):
        """A model with random weights, made where it computes."""
        torch.manual_seed(0)
        with self.device:
            return model_class._from_config(
                config, dtype=self.dtype, attn_implementation="sdpa"
            ).eval()

    def seconds(self, run, rounds, warm_up=1):
        """Seconds of each round, after some that compile and allocate."""
        times = []
        for i in range(warm_up + rounds):
            self.synchronize()
            started = time.perf_counter()
            run()
            self.synchronize()
            if i >= warm_up:
                times.append(time.perf_counter() - started)
        return times


class StepClock(LogitsProcessor):
    """Notes when the logits of each token are there, without waiting for them:
    generate() queues a step before the last one ends."""

    def __init__(self, device):
        self.on_gpu = device.type == "cuda"
        self.marks = []
        self.scores = None

    def __call__(self, input_ids, scores):
        self.marks.append(self.mark())
        self.scores = scores
        return scores

    def mark(self):
        if not self.on_gpu:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def steps(self):
        """Seconds from each token to the next one."""
        pairs = list(zip(self.marks, self.marks[1:]))
        if not self.on_gpu:
            return [b - a for a, b in pairs]
        torch.cuda.synchronize()
        return [a.elapsed_time(b) / 1000 for a, b in pairs]


def bench_decode(bench, name, model, compiled):
    """Time of a token after a prompt."""
    ids = torch.arange(bench.context, device=bench.device)[None] * 7 % model.config.vocab_size
    model.generation_config.eos_token_id = None  # each token counts
    config = GenerationConfig(
        do_sample=False, max_new_tokens=WARM_UP + bench.tokens + 1, pad_token_id=0
    )
    if compiled:
        config.cache_implementation = "static"
        config.compile_config = CompileConfig(mode="reduce-overhead")
        # Without it a CPU would not compile, and not test this script.
        config.compile_config._compile_all_devices = True
        # It would be taken for a constant first, and everything compiled twice.
        torch.compiler.config.dynamic_sources = r".*cumulative_length_int.*"

    def generate():
        clock = StepClock(bench.device)
        model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            generation_config=config,
            logits_processor=LogitsProcessorList([clock]),
        )
        return clock

    started = time.perf_counter()
    # The first one compiles, and records the graphs.
    generate()
    bench.synchronize()
    ready = time.perf_counter() - started
    clock = generate()
    steps = clock.steps()[WARM_UP:]
    if len(steps) != bench.tokens:
        raise SystemExit(f"{name} made {len(steps)} tokens, not {bench.tokens}")
    if not torch.isfinite(clock.scores).all():
        raise SystemExit(f"Logits of {name} are not finite")
    median = statistics.median(steps)
    what = "compiled" if compiled else "eager"
    report(name, f"decode at {bench.context}, {what}", [
        f"{1 / median:.1f} tok/s",
        f"{1000 * median:.3f} ms (best {1000 * min(steps):.3f})",
        f"mean {1000 * statistics.mean(steps):.3f} ms",
        f"ready after {ready:.1f} s",
    ])


def bench_prefill(bench, name, model):
    for tokens in bench.prompts:
        ids = torch.arange(tokens, device=bench.device)[None] * 7 % model.config.vocab_size
        best = min(bench.seconds(lambda: model(ids, use_cache=True, logits_to_keep=1), ROUNDS))
        report(name, f"prefill {tokens}", [
            f"{tokens / best:.0f} tok/s",
            f"{1000 * best:.1f} ms",
        ])


def bench_decoder(bench, name, config, parts):
    started = time.perf_counter()
    model = bench.make(Gemma3nForCausalLM, config)
    bench.synchronize()
    report(name, "memory", [
        f"weights {weight_mib(model):.0f} MiB",
        f"filled in {time.perf_counter() - started:.1f} s",
    ])
    if "decode" in parts:
        bench_decode(bench, name, model, compiled=False)
    if "prefill" in parts:
        bench_prefill(bench, name, model)
    # Last: its graphs keep memory.
    if "compiled" in parts:
        bench_decode(bench, name, model, compiled=True)


def towers_config(tiny):
    """Both towers, below a decoder that is never called."""
    text = tiny_config()
    if not tiny:
        text.hidden_size = 2048  # where the towers' embedders end
    audio = Gemma3nAudioConfig()
    if tiny:
        audio = Gemma3nAudioConfig(
            hidden_size=64,
            conf_num_attention_heads=4,
            conf_num_hidden_layers=2,
            sscp_conv_channel_size=[16, 8],
        )
    vision = Gemma3nVisionConfig()
    return Gemma3nConfig(text_config=text, vision_config=vision, audio_config=audio)


def bench_towers(bench, parts):
    model = bench.make(Gemma3nForConditionalGeneration, towers_config(bench.tiny))
    side = 64 if bench.tiny else PICTURE_SIDE
    frames = 64 if bench.tiny else CLIP_FRAMES
    values = {"device": bench.device, "dtype": bench.dtype}
    if "picture" in parts:
        pixels = torch.rand(1, 3, side, side, **values)
        bench_tower(bench, f"image {side} x {side}", lambda: model.get_image_features(pixels))
    if "sound" in parts:
        mel = torch.randn(1, frames, 128, **values)
        # True would mean a frame of padding.
        mask = torch.zeros(1, frames, dtype=torch.bool, device=bench.device)
        bench_tower(
            bench, f"audio {frames / 100:g} s", lambda: model.model.get_audio_features(mel, mask)
        )


def bench_tower(bench, name, encode):
    if not torch.isfinite(encode().pooler_output).all():
        raise SystemExit(f"Soft tokens of {name} are not finite")
    times = bench.seconds(encode, 2 if bench.tiny else TOWER_ROUNDS, warm_up=3)
    dtype = str(bench.dtype).removeprefix("torch.")
    print(
        f"{name} {dtype}: {1000 * statistics.median(times):.2f} ms "
        f"(best {1000 * min(times):.2f})",
        flush=True,
    )


def weight_mib(model):
    return sum(p.numel() * p.element_size() for p in model.parameters()) / 2**20


def report(name, what, figures):
    print(f"{name:6} {what:30} {', '.join(figures)}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", default="e2b,e4b")
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--dtype", default="bfloat16", choices=["bfloat16", "float16", "float32"])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tokens", type=int, default=64, help="tokens to time in decoding")
    parser.add_argument("--tiny", action="store_true", help="a small model of its own")
    args = parser.parse_args()
    parts = set(args.parts.split(","))
    if unknown := parts - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    # Each first use of an option says that it is one.
    logging.getLogger("transformers").setLevel(logging.ERROR)
    bench = Bench(args)
    gpu = torch.cuda.get_device_name() if bench.device.type == "cuda" else args.device
    print(f"{gpu}, torch {torch.__version__}, transformers {transformers.__version__}, {args.dtype}")
    with torch.no_grad():  # as generate() has it
        if parts & {"decode", "compiled", "prefill"}:
            if args.tiny:
                bench_decoder(bench, "tiny", tiny_config(), parts)
            for size in [] if args.tiny else args.sizes.split(","):
                bench_decoder(bench, size.upper(), released_config(size), parts)
                torch._dynamo.reset()
                gc.collect()
                if bench.device.type == "cuda":
                    torch.cuda.empty_cache()
        if parts & {"picture", "sound"}:
            bench_towers(bench, parts)


if __name__ == "__main__":
    main()
