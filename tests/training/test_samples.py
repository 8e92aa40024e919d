"""Samples: every clip in turn, some of its questions, the same for the same seed."""

from dataclasses import replace

import numpy as np
import pytest

from redvillm.errors import OptionsError
from redvillm.training.clips import TrainingClip, emphasised
from redvillm.training.samples import Sampler
from redvillm.training.wordings import WORDINGS


@pytest.fixture
def sampler(store, clips):
    return Sampler(store, clips, max_frames=16, max_questions=3, seed=3)


def test_a_sample_is_a_function_of_its_number(sampler, store, clips):
    again = Sampler(store, clips, max_frames=16, max_questions=3, seed=3)
    other = Sampler(store, clips, max_frames=16, max_questions=3, seed=4)
    differing = 0
    for number in (29, 3, 0, 28, 3):
        first, second = sampler.sample(number), again.sample(number)
        assert first.turns == second.turns
        np.testing.assert_array_equal(first.features, second.features)
        differing += first.turns != other.sample(number).turns
    assert differing


def test_each_round_has_every_clip_once(sampler, clips):
    def first_question(sample):
        return {turn.kind for turn in sample.turns}

    for turn in range(3):
        changes = [first_question(sampler.sample(turn * len(clips) + place)) == {"scene change"} for place in range(len(clips))]
        assert sum(changes) == 2
    orders = [tuple(sampler.sample(turn * len(clips) + place).turns[0].answer for place in range(len(clips))) for turn in range(2)]
    assert orders[0] != orders[1]


def test_clips_of_a_kind_can_be_half_of_all(clips):
    changes = [clip for clip in clips if "scene change" in {question.kind for question in clip.questions}]
    assert 0 < len(changes) < len(clips) / 2
    chosen = emphasised(clips, ("scene change", "no such kind"), seed=1)
    assert [clip for clip in chosen if clip in changes] == changes
    assert len(chosen) == 2 * len(changes)
    assert list(chosen) == [clip for clip in clips if clip in chosen]
    assert chosen == emphasised(clips, ("scene change",), seed=1)
    assert any(chosen != emphasised(clips, ("scene change",), seed=seed) for seed in range(2, 9))
    assert set(emphasised(clips, [question.kind for clip in clips for question in clip.questions], seed=1)) == set(clips)  # there are no others
    with pytest.raises(OptionsError, match="scene change"):
        emphasised(clips, ("no such kind",), seed=1)


def test_an_image_becomes_a_still_clip_of_several_lengths(sampler, store, clips):
    lengths = set()
    frames = {store[clip.media[0]].astype(np.float32).tobytes(): clip for clip in clips if clip.is_image}
    for number in range(200):
        sample = sampler.sample(number)
        if sample.turns[0].kind == "scene change":
            assert len(sample.features) in (5, 10)
            assert len(np.unique(sample.features.reshape(len(sample.features), -1), axis=0)) == 2
            continue
        lengths.add(len(sample.features))
        mean = sample.features.mean(0)
        nearest = min(np.abs(np.frombuffer(one, np.float32).reshape(4, 6) - mean).max() for one in frames)
        assert nearest < 0.08  # noise of 2 % on values of at most 1, at its rare extreme
    assert lengths == {1, 2, 4, 8, 16}


def test_descriptions_are_asked_for_in_many_words_and_only_those_of_training(store, clips):
    sampler = Sampler(store, clips, max_frames=16, max_questions=9, seed=0)
    turns = [turn for number in range(300) for turn in sampler.sample(number).turns if turn.kind == "describe"]
    assert {turn.question for turn in turns} == set(WORDINGS["describe"][:-2])
    assert len({turn.answer for turn in turns}) == 8
    assert max(len(sampler.sample(number).turns) for number in range(30)) == 4  # two captions, presence, naming


def test_of_many_captions_three_are_taught_at_a_time(store, clips):
    captions = tuple(f"Caption {number}." for number in range(7))
    clip = TrainingClip(clips[0].media, (replace(clips[0].questions[0], answers=captions),))
    sampler = Sampler(store, [clip], max_frames=16, max_questions=9, seed=0)
    taught = [[turn.answer for turn in sampler.sample(number).turns] for number in range(60)]
    assert all(len(set(answers)) == 3 for answers in taught)
    assert {answer for answers in taught for answer in answers} == set(captions)


def test_no_more_questions_than_asked_for(sampler):
    assert {len(sampler.sample(number).turns) for number in range(60)} == {1, 3}


def test_long_clips_are_thinned_evenly(store, clips):
    sampler = Sampler(store, clips, max_frames=3, max_questions=3, seed=0)
    change = next(clip for clip in clips if not clip.is_image)
    plain = sampler.plain(change)
    places = (0, 2, 4)
    np.testing.assert_array_equal(plain.features, np.concatenate([store[change.media[place]] for place in places]).astype(np.float32))
    assert plain.turns[0].answer == "Yes."
