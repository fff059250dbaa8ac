#!/usr/bin/env python3
"""Times the towers of Transformers on the processor, as transformers_gpu.py does
on a GPU, with fewer rounds.

    transformers_cpu.py [THREADS]

Prints lines like `image 768 x 768 float32: 4000.00 ms (best 3900.00)`.
"""

import argparse
import sys

import torch
import transformers_gpu as peer

ROUNDS = 3
WARM_UP = 1


class Bench(peer.Bench):
    def seconds(self, run, rounds, warm_up=1):
        """A round takes seconds here, and compiles nothing."""
        return super().seconds(run, ROUNDS, WARM_UP)


def main():
    torch.set_num_threads(int(sys.argv[1]) if len(sys.argv) > 1 else 2)
    args = argparse.Namespace(device="cpu", dtype="float32", tokens=0, tiny=False)
    with torch.no_grad():
        peer.bench_towers(Bench(args), {"picture", "sound"})


if __name__ == "__main__":
    main()
