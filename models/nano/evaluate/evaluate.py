#!/usr/bin/env python3
"""Answers the held-out set with Transformers, greedily, in float32 on the CPU.

    evaluate.py MODEL HELD_OUT answers.json

Each answer has its ids and, for each, the gap between the best and the second logit.
"""

import json
import sys
import wave
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from transformers import AutoProcessor, Gemma3nForConditionalGeneration

NEW_TOKENS = 40


def read_clip(path: Path) -> np.ndarray:
    with wave.open(str(path)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / 32768


def messages(case: dict, folder: Path) -> list[dict]:
    out = [{"role": "system", "content": [{"type": "text", "text": case["system"]}]}] if case["system"] else []
    media = [{"type": "image", "image": Image.open(folder / name).convert("RGB")} for name in case["images"]]
    if case["audio"]:
        media.append({"type": "audio", "audio": read_clip(folder / case["audio"])})
    for i, text in enumerate(case["turns"]):
        parts = [*(media if i == 0 else []), {"type": "text", "text": text}]
        out.append({"role": "user" if i % 2 == 0 else "assistant", "content": parts})
    return out


@torch.no_grad()
def main(checkpoint: str, folder: Path, out: Path) -> None:
    processor = AutoProcessor.from_pretrained(checkpoint)
    model = Gemma3nForConditionalGeneration.from_pretrained(checkpoint, dtype=torch.float32).eval()
    answers = []
    for case in json.loads((folder / "cases.json").read_text()):
        inputs = processor.apply_chat_template(
            messages(case, folder), add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt",
        )
        result = model.generate(
            **inputs, max_new_tokens=NEW_TOKENS, do_sample=False, output_logits=True, return_dict_in_generate=True,
        )
        ids = result.sequences[0, inputs["input_ids"].shape[1] :]
        best = torch.stack(result.logits)[:, 0].topk(2).values
        answers.append({
            "id": case["id"], "text": processor.decode(ids, skip_special_tokens=True), "ids": ids.tolist(),
            "gaps": [round(gap, 5) for gap in (best[:, 0] - best[:, 1]).tolist()],
        })
        if len(answers) % 100 == 0:
            print(len(answers), flush=True)
    out.write_text(json.dumps(answers, ensure_ascii=False, indent=0) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
