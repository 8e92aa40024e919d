"""The warm start learns to point at the right words."""

import numpy as np
import torch
from torch.nn import functional

from redvillm.export.adapter import Adapter, AdapterOptions
from redvillm.training.warm_start import caption_words, warm_start, word_targets

SIZES = AdapterOptions(num_patches=4, vision_width=6, llm_width=16, num_motion_tokens=2, hidden_width=32, motion_hidden_width=8)


def test_visual_tokens_point_to_the_words_of_their_captions(store, captions):
    torch.manual_seed(0)
    words = {word: number for number, word in enumerate(("dog", "man", "girls", "car"))}
    embeddings = functional.normalize(torch.randn(4, 16), dim=-1) * 0.3
    targets = word_targets(store, captions, words)
    assert set(targets) == set(store.select("train", "photo"))  # class names are not in this word list
    adapter = Adapter(SIZES)
    losses = warm_start(adapter, embeddings, store, targets, steps=150, seed=0)
    assert losses[-1] < 0.3 * losses[0]
    for index, target in targets.items():
        tokens = adapter.alignment(torch.from_numpy(store[index][:1][0].astype(np.float32))) + adapter.positions
        similarity = (functional.normalize(tokens, dim=-1) @ functional.normalize(embeddings, dim=-1).T).amax(0)
        assert similarity.argmax() == target.argmax()
    for name, value in adapter.alignment.state_dict().items():  # RED-VILLM: the temporal alignment begins as a copy
        assert torch.equal(value, adapter.temporal_alignment.state_dict()[name])
    torch.testing.assert_close(adapter.gain.data, torch.full((3,), float(embeddings.square().mean().sqrt())))


def test_rare_words_and_stop_words_are_left_out(prompt):
    captions = {str(number): ("The x y",) for number in range(30)} | {"rare": ("z",)}
    words = caption_words(captions, prompt.tokenizer)
    assert "the" not in words
    assert "z" not in words
