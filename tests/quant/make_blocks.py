"""Makes blocks.json: blocks of GGUF files and their values, from the `gguf`
package of PyPI (pip install gguf). Run it in this folder.
"""
import base64
import json

import numpy as np
from gguf import GGMLQuantizationType as T
from gguf.quants import dequantize, quantize

rng = np.random.default_rng(5)


def text(array):
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


values = rng.standard_normal((12, 32)).astype(np.float32) * 0.05
values[1] = 0
values[2] = np.linspace(-1, 1, 32)
values[3, :] = [(-1) ** i * (i + 0.5) for i in range(32)]  # many ties
values[4] *= 1e-6
values[5] *= 1e5
values[6, :] = 0
values[6, 7] = -3
values[7] = np.round(values[7] * 64) / 64
values[8] = 127 * np.float32(0.5) / np.arange(1, 33)

cases = {}
for name in ("Q8_0", "Q4_0"):
    blocks = quantize(values, T[name])
    cases[name.lower()] = {
        "values": text(values),
        "blocks": text(blocks),
        "restored": text(dequantize(blocks, T[name])),
    }
for name, size in (("Q4_K", 144), ("Q5_K", 176), ("Q6_K", 210)):
    blocks = rng.integers(0, 256, (3, size), dtype=np.uint8)
    halves = (208,) if name == "Q6_K" else (0, 2)
    for at in halves:  # random bits would make NaN
        blocks[:, at:at + 2] = rng.standard_normal(3).astype(np.float16).view(
            np.uint8).reshape(3, 2)
    cases[name.lower()] = {
        "blocks": text(blocks),
        "restored": text(dequantize(blocks, T[name])),
    }
with open("blocks.json", "w") as file:
    json.dump(cases, file, indent=1)
    file.write("\n")
