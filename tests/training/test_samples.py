"""Samples: right labels, balanced presence, no other split, the same for the same seed."""

from itertools import islice

import numpy as np

from redvillm.training.questions import NO, YES, concepts_in
from redvillm.training.samples import Sampler


def draw(store, captions, count=400, seed=3):
    return list(islice(iter(Sampler(store, captions, "train", seed)), count))


def test_the_same_seed_gives_the_same_samples(store, captions):
    for first, again in zip(draw(store, captions, 30), draw(store, captions, 30), strict=True):
        assert first.exchanges == again.exchanges
        np.testing.assert_array_equal(first.features, again.features)


def test_windows_hold_one_to_sixteen_frames(store, captions):
    lengths = {len(sample.features) for sample in draw(store, captions)}
    assert min(lengths) == 1
    assert max(lengths) <= 16
    assert len(lengths) > 4


def test_presence_is_near_balance_and_true(store, captions):
    answers = [exchange.answer for sample in draw(store, captions) for exchange in sample.exchanges if exchange.kind == "presence"]
    assert 0.4 < answers.count(YES) / len(answers) < 0.6
    assert set(answers) == {YES, NO}


def test_no_sample_uses_another_split(store, captions):
    held_out = [store[index] for index in store.select("test", "photo", "object", "sprite") + store.select("validation", "photo")]
    held_out_frames = {frame.tobytes() for clip in held_out for frame in clip.astype(np.float32)}
    for sample in draw(store, captions, 200):
        assert not any(frame.tobytes() in held_out_frames for frame in sample.features)


def test_a_cut_shows_two_scenes(store, captions):
    cuts = [sample for sample in draw(store, captions, 600) if any(e.kind == "scene change" and e.answer == YES for e in sample.exchanges)]
    assert cuts
    for sample in cuts:
        assert len(np.unique(sample.features.reshape(len(sample.features), -1), axis=0)) <= 2


def test_a_presence_question_matches_the_captions_of_its_photo(store, captions):
    for sample in draw(store, captions, 200):
        described = [exchange.answer for exchange in sample.exchanges if exchange.kind == "describe"]
        positives = [e.question for e in sample.exchanges if e.kind == "presence" and e.answer == YES]
        two_scenes = any(e.kind == "scene change" and e.answer == YES for e in sample.exchanges)
        if described and positives and not two_scenes:
            found = concepts_in(described)
            assert all(any(concept in question for concept in found) for question in positives)


def test_moving_clips_are_asked_for_what_is_not_there_too(store, captions):
    moving = [sample for sample in draw(store, captions, 600) if any(e.kind == "direction" for e in sample.exchanges)]
    answers = {exchange.answer for sample in moving for exchange in sample.exchanges if exchange.kind == "presence"}
    assert answers == {YES, NO}


def test_a_gliding_pan_changes_in_every_frame(store, captions):
    windows = [sample.features for sample in draw(store, captions) if len(sample.features) > 8]
    changing = [window for window in windows if all(np.any(a != b) for a, b in zip(window[1:], window[:-1], strict=True))]
    assert changing
