"""The curves of a training log as a picture."""

import json
from pathlib import Path


def draw_curves(log: Path, out: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    records = [json.loads(line) for line in log.read_text().splitlines()]
    records = [record for record in records if "answers" in record]
    steps = [record["step"] for record in records]
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3), dpi=80)
    for name in ("answers", "picture", "phoneme", "order"):
        if name not in records[0]:
            continue
        left.plot(steps, [record[name] for record in records], label=name, linewidth=0.8)
    left.set(xlabel="step", ylabel="loss", yscale="log")
    for name in records[0]["right"]:
        right.plot(steps, [record["right"][name] for record in records], label=name, linewidth=0.8)
    right.set(xlabel="step", ylabel="answer tokens right", ylim=(0, 1))
    for axes in (left, right):
        axes.legend(fontsize=7)
        axes.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(out)
