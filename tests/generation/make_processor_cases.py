"""Writes processor_cases.jsonl: what Transformers' logits processors make of small rows.

    pip install transformers==5.17.0 torch
    python tests/generation/make_processor_cases.py
"""

import json
import math
import pathlib
import re

import torch
from transformers import GenerationConfig, GenerationMixin, PretrainedConfig
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


class Chain(GenerationMixin):
    """Puts processors into Transformers' own order; needs no model for that."""

    config = PretrainedConfig()

    def processor(self, options):
        generation_config = GenerationConfig(**options)
        generation_config._eos_token_tensor = torch.tensor(options.get("eos_token_id", []))
        return self._get_logits_processor(generation_config, input_ids_seq_length=TEXT_LENGTH)


def chains(text):
    """Several options at once."""
    last = text[-1]
    greedy = {
        "do_sample": False,
        "repetition_penalty": 1.7,
        "no_repeat_ngram_size": 2,
        "suppress_tokens": [3],
        "bad_words_ids": [[5], [last, 6], [1]],
        "sequence_bias": [[[5], 9.0], [[last, 4], 2.5], [[last], -1.25]],
        "min_new_tokens": 1,
        "eos_token_id": [1, 2],
    }
    yield greedy
    yield greedy | {"do_sample": True, "temperature": 0.6, "top_k": 12, "top_p": 0.9, "min_p": 0.05}
    yield {"do_sample": True, "temperature": 2.5, "top_k": 0, "top_p": 0.6, "min_p": 0.3}


def camel_case(options):
    return {re.sub("_([a-z])", lambda m: m[1].upper(), name): value for name, value in options.items()}


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
    vocab_size = 33
    logits = torch.round(torch.randn(1, vocab_size) * 192) / 64
    ids = torch.randint(7, vocab_size, (1, TEXT_LENGTH))
    for options in chains(ids[0].tolist()):
        scores = Chain().processor(options)(ids, logits.clone())
        cases.append(
            {"option": camel_case(options), "inputIds": ids[0].tolist(), "logits": row(logits), "expected": row(scores)}
        )
    path = pathlib.Path(__file__).with_name("processor_cases.jsonl")
    path.write_text("".join(json.dumps(case, separators=(",", ":")) + "\n" for case in cases))


if __name__ == "__main__":
    main()
