"""Makes values.gguf and values.json: a file with metadata of every type and
tensors of several, from the `gguf` package of PyPI (pip install gguf). Run it
in this folder.
"""
import json

import numpy as np
from gguf import GGMLQuantizationType as T
from gguf import GGUFWriter
from gguf.quants import dequantize, quantize

rng = np.random.default_rng(7)
writer = GGUFWriter("values.gguf", "gemma3n")
expected = {"general.architecture": "gemma3n"}


def add(method, name, value):
    getattr(writer, method)(name, value)
    expected[name] = value


add("add_uint8", "a.uint8", 200)
add("add_int8", "a.int8", -100)
add("add_uint16", "a.uint16", 60_000)
add("add_int16", "a.int16", -30_000)
add("add_uint32", "a.uint32", 4_000_000_000)
add("add_int32", "a.int32", -2_000_000_000)
add("add_uint64", "a.uint64", 2**40)
add("add_int64", "a.int64", -(2**40))
add("add_float32", "a.float32", 0.25)
add("add_float64", "a.float64", 0.1)
add("add_bool", "a.bool", True)
add("add_string", "a.string", "식물 🌱")
add("add_array", "a.strings", ["", "\ufeff", "▁the"])
add("add_array", "a.integers", [1, -2, 3])
add("add_array", "a.floats", [0.5, -0.25])
add("add_array", "a.booleans", [True, False, True])
add("add_array", "a.nested", [[1, 2], [3]])

tensors = {}
for name, shape, kind in (
    ("odd", (3, 5), "F32"),
    ("vector", (7,), "F32"),
    ("cube", (2, 3, 4), "F16"),
    ("brain", (2, 3), "BF16"),
    ("eight", (3, 64), "Q8_0"),
    ("four", (2, 32), "Q4_0"),
):
    values = rng.standard_normal(shape).astype(np.float32)
    stored = quantize(values, T[kind])
    if kind in ("F32", "F16"):
        writer.add_tensor(name, stored)
        values = stored.astype(np.float32)
    else:
        writer.add_tensor(name, stored, raw_dtype=T[kind])
        values = dequantize(stored, T[kind])
    tensors[name] = {
        "shape": list(shape),
        "type": kind,
        "values": [float(v) for v in values.ravel()],
    }
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()
with open("values.json", "w") as file:
    json.dump({"metadata": expected, "tensors": tensors}, file, indent=1)
    file.write("\n")
