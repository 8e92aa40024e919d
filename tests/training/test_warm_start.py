"""The warm start learns to point at the right words."""

import pytest
import torch
from torch.nn import functional

from redvillm.export.adapter import Adapter, AdapterOptions
from redvillm.question_set import VideoQuestion
from redvillm.training.clips import TrainingClip
from redvillm.training.features import Medium
from redvillm.training.warm_start import described_words, motion_words, warm_start, warm_start_motion, word_targets, word_tokens

SIZES = AdapterOptions(num_patches=4, vision_width=6, llm_width=16, num_motion_tokens=2, hidden_width=32, motion_hidden_width=8)


def test_visual_tokens_point_to_the_words_of_their_captions(store, clips):
    torch.manual_seed(0)
    words = {word: number for number, word in enumerate(("dog", "man", "girls", "car"))}
    embeddings = functional.normalize(torch.randn(4, 16), dim=-1) * 0.3
    targets = word_targets(described_words(clips), words)
    assert set(targets) == {clip.media[0] for clip in clips if clip.is_image}
    adapter = Adapter(SIZES)
    losses = warm_start(adapter, embeddings, store, targets, steps=150, seed=0)
    assert losses[-1] < 0.3 * losses[0]
    for medium, target in targets.items():
        tokens = adapter.alignment(torch.tensor(store[medium][0]).float()) + adapter.positions
        similarity = (functional.normalize(tokens, dim=-1) @ functional.normalize(embeddings, dim=-1).T).amax(0)
        assert similarity.argmax() == target.argmax()
    for name, value in adapter.alignment.state_dict().items():  # RED-VILLM: the temporal alignment begins as a copy
        assert torch.equal(value, adapter.temporal_alignment.state_dict()[name])
    torch.testing.assert_close(adapter.gain.data, torch.full((3,), float(embeddings.square().mean().sqrt())))


def test_shares_of_words_are_those_of_captions_and_names(clips):
    described = described_words(clips)
    first = clips[0]
    assert described[first.media[0]] == ["dog", "runs", "grass", "dog", "runs", "grass", "dog"]
    targets = word_targets(described, {"dog": 7, "grass": 9, "cat": 1})
    assert targets[first.media[0]].numpy() == pytest.approx([3 / 5, 2 / 5, 0])
    assert all(clip.media[0] in described or not clip.is_image for clip in clips)


def test_rare_words_and_words_of_several_tokens_are_left_out(prompt):
    tokens = word_tokens(["x"] * 30 + ["rare"] + ["y"] * 3, prompt.tokenizer)
    assert tokens == {}  # a byte-level tokenizer needs two tokens for a space and a letter


def test_motion_tokens_point_to_the_way_things_move():
    """Energy that wanders from one patch to another, in two segments: which way is a word."""
    torch.manual_seed(0)
    ways = torch.randint(0, 4, (400,))
    energies = 0.01 * torch.rand(400, 2, 4)
    for number, way in enumerate(ways):
        energies[number, 0, way] += 1
        energies[number, 1, (way + 1) % 4] += 1
    embeddings = 0.2 * torch.randn(4, 16)
    adapter = Adapter(SIZES)
    before = {name: value.clone() for name, value in adapter.state_dict().items()}
    losses = warm_start_motion(adapter, embeddings, energies[:300], torch.eye(4)[ways[:300]], steps=200, seed=0)
    assert losses[-1] < 0.3 * losses[0]
    similarity = functional.normalize(adapter.motion_alignment(energies[300:]), dim=-1) @ functional.normalize(embeddings, dim=-1).T
    assert (similarity.amax(1).argmax(-1) == ways[300:]).float().mean() > 0.9
    for name, value in adapter.state_dict().items():
        assert torch.equal(value, before[name]) != name.startswith("motion_alignment")


def test_words_of_motion_are_those_of_clips(clips, tmp_path):
    media = (Medium(tmp_path / "a.jpg", False),) * 3
    asked = [
        VideoQuestion((media[0].path,) * 3, True, kind, "?", answers)
        for kind, answers in (("direction", ("Left.", "To the left.")), ("zoom", ("It zooms in.",)), ("presence", ("Yes.",)))
    ]
    moving = TrainingClip(media, tuple(asked))
    still = TrainingClip(media[:1], tuple(asked))
    assert motion_words((moving, still, *clips)) == {moving: ["left", "zooms", "in"]}
