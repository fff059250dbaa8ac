"""Losses and gradients of a batch, captured in a CUDA graph where that is asked for."""

import sys

import torch

from forward import Trainee


class Stepper:
    """A step is some ten thousand small kernels: replayed from a graph they take a third of the time."""

    def __init__(self, trainee: Trainee, device: torch.device, *, captured: bool) -> None:
        self.trainee, self.device, self.captured = trainee, device, captured
        # Of the losses of the two heads
        self.share = torch.tensor(1.0, device=device)
        self.inputs: dict[str, torch.Tensor] = {}
        self.graph: torch.cuda.CUDAGraph | None = None

    def compute(self, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """What Trainee.losses() gives: three losses, how far pictures differ, and which answer tokens are right; leaves the gradients on the parameters."""
        self.trainee.zero_grad(set_to_none=True)
        on_gpu = self.device.type == "cuda"
        with torch.autocast("cuda", torch.bfloat16, enabled=on_gpu, cache_enabled=not self.captured):
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
        graph = torch.cuda.CUDAGraph()
        self.trainee.zero_grad(set_to_none=True)
        with torch.cuda.graph(graph):
            self.outputs = self.compute(self.inputs)
        self.graph = graph

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
