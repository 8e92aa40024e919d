"""Held-out figures: a right answer is what greedy decoding gives, one token after the other."""

import numpy as np
import torch

from redvillm.training.held_out import held_out_scores
from redvillm.training.samples import Sample, Turn

QUESTIONS = ("What is it?", "Is it?", "Where?", "Who?", "And now?")


def greedy(model, prompt, features, question, max_tokens=4):
    """Decode without packing, branches or teacher forcing."""
    table = model.llm.get_input_embeddings().weight
    ids = [*prompt.prefix_ids], [*prompt.suffix_ids(question)]
    rows = torch.cat((table[ids[0]], model.visual_tokens(features), table[ids[1]]))
    tokens = []
    for _ in range(max_tokens):
        tokens.append(int(model.llm(inputs_embeds=rows[None]).logits[0, -1].argmax()))
        rows = torch.cat((rows, table[tokens[-1:]]))
    return tokens


def test_right_is_what_greedy_decoding_gives(model, prompt):
    random, tokenizer, checked = np.random.default_rng(2), prompt.tokenizer, 0
    with torch.inference_mode():
        for question in QUESTIONS * 8:
            features = random.random((3, 4, 6)).astype(np.float32)
            tokens = greedy(model, prompt, features, question)
            answer = tokenizer.decode(tokens[:2])
            if tokenizer.encode(answer).ids != tokens[:2]:
                continue  # bytes that are no text change on their way
            checked += 1
            turns = (Turn("greedy", question, answer), Turn("longer", question, f"{answer}~"), Turn("other", question, "zzz"))
            scores = {score.kind: score for score in held_out_scores(model, [Sample(features, turns)], prompt, tokens[2])}
            assert {kind: score.right_share for kind, score in scores.items()} == {"greedy": 1, "longer": 0, "other": 0}
            assert scores["greedy"].loss < scores["other"].loss
    assert checked >= 3


def test_kinds_are_sorted_by_frequency(model, prompt):
    features = np.ones((1, 4, 6), np.float32)
    samples = [Sample(features, (Turn("rare", "a?", "b"), Turn("often", "a?", "b"), Turn("often", "c?", "d")))] * 5
    assert [(score.kind, score.count) for score in held_out_scores(model, samples, prompt, 3)] == [("often", 10), ("rare", 5)]
