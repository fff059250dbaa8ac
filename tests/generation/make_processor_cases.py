"""Writes processor_cases.json: what Transformers' logits processors make of small rows.

    pip install transformers==5.17.0 torch
    python tests/generation/make_processor_cases.py
"""

import json
import math
import pathlib

import torch
from transformers.generation import logits_process as lp

TEXT_LENGTH = 9


def processors(text, vocab_size):
    """Options in our spelling, each with the processor it stands for."""
    last, tail = text[-1], text[-3:]
    biases = {(0,): 1.5, (last, vocab_size - 1): -2.25, (*tail, 0): 0.1, (vocab_size - 1, vocab_size - 1, 0): 7.0}
    bad_words = [[vocab_size - 1], [last, 0], [0, last, 0]]
    suppressed = [0, vocab_size + 3]
    yield {"temperature": 0.7}, lp.TemperatureLogitsWarper(0.7)
    for k in (1, 5, 50):
        yield {"topK": k}, lp.TopKLogitsWarper(k)
    for p in (0.0, 0.5, 0.95):
        yield {"topP": p}, lp.TopPLogitsWarper(p)
    for p in (0.0, 0.1, 1.0):
        yield {"minP": p}, lp.MinPLogitsWarper(p)
    yield {"repetitionPenalty": 1.3}, lp.RepetitionPenaltyLogitsProcessor(1.3)
    for n in (1, 2, 3):
        yield {"noRepeatNgramSize": n}, lp.NoRepeatNGramLogitsProcessor(n)
    yield {"sequenceBias": [[list(k), v] for k, v in biases.items()]}, lp.SequenceBiasLogitsProcessor(biases)
    yield {"badWordsIds": bad_words}, lp.NoBadWordsLogitsProcessor(bad_words)
    yield {"suppressTokens": suppressed}, lp.SuppressTokensLogitsProcessor(suppressed)


def row(scores):
    """JSON has no infinity: null stands for a forbidden id."""
    return [None if math.isinf(x) else x for x in scores[0].tolist()]


def main():
    torch.manual_seed(5)
    cases = []
    for vocab_size in (1, 7, 33):
        for ties in (False, True):
            logits = torch.randn(1, vocab_size) * 3
            logits = torch.round(logits) if ties else torch.round(logits * 64) / 64
            ids = torch.randint(0, vocab_size, (1, TEXT_LENGTH))
            for option, processor in processors(ids[0].tolist(), vocab_size):
                scores = processor(ids, logits.clone())
                cases.append(
                    {"option": option, "inputIds": ids[0].tolist(), "logits": row(logits), "expected": row(scores)}
                )
    path = pathlib.Path(__file__).with_name("processor_cases.json")
    path.write_text("[\n" + ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases) + "\n]\n")


if __name__ == "__main__":
    main()
