"""Training: the loss falls, the LLM stays as it is, and a resumed run ends where an uninterrupted one does."""

import copy
from dataclasses import replace

import pytest
import torch

from redvillm.errors import OptionsError
from redvillm.training.options import TrainingOptions
from redvillm.training.samples import Sampler
from redvillm.training.trainer import learning_rate_at, train_adapter


@pytest.fixture
def options(tmp_path):
    (tmp_path / "weights").touch()
    return TrainingOptions(
        data=tmp_path,
        run=tmp_path,
        vision_checkpoint=tmp_path / "weights",
        language_checkpoint=tmp_path / "weights",
        train_steps=12,
        batch_size=3,
        micro_batch_size=2,
        learning_rate=1e-2,
        checkpoint_every_s=0,
    )


def run(model, store, captions, prompt, options):
    return train_adapter(model, Sampler(store, captions, "train", options.seed), prompt, prompt.tokenizer.token_to_id("<|im_end|>"), options)


def test_the_loss_falls_and_the_llm_is_frozen(model, store, captions, prompt, options):
    before = copy.deepcopy(model.llm.state_dict())
    progress = run(model, store, captions, prompt, replace(options, train_steps=60))
    assert sum(progress.losses[-10:]) < 0.97 * sum(progress.losses[:10])
    for name, value in model.llm.state_dict().items():
        assert torch.equal(value, before[name])


def test_a_resumed_run_equals_an_uninterrupted_one(model, store, captions, prompt, options, tmp_path):
    whole, parts = copy.deepcopy(model), copy.deepcopy(model)
    (tmp_path / "whole").mkdir()
    expected = run(whole, store, captions, prompt, replace(options, run=tmp_path / "whole"))

    class StopError(Exception):
        pass

    class Interrupted(Sampler):
        def __iter__(self):
            for number, sample in enumerate(super().__iter__()):
                if number == 3 * 7 + 1:
                    raise StopError
                yield sample

    with pytest.raises(StopError):
        train_adapter(parts, Interrupted(store, captions, "train", 0), prompt, prompt.tokenizer.token_to_id("<|im_end|>"), options)
    fresh = copy.deepcopy(model)
    progress = run(fresh, store, captions, prompt, options)
    assert progress.step == 12
    assert progress.losses == expected.losses
    for name, value in fresh.adapter.state_dict().items():
        assert torch.equal(value, whole.adapter.state_dict()[name])


def test_the_learning_rate_warms_up_and_ends_at_its_minimum(options):
    long = replace(options, train_steps=1000)
    rates = [learning_rate_at(step, long) for step in range(1000)]
    assert rates[0] < rates[25] < rates[49]
    assert max(rates) == pytest.approx(long.learning_rate)
    assert rates[-1] == pytest.approx(long.min_learning_rate, rel=1e-2)


def test_options_are_checked(options):
    with pytest.raises(OptionsError, match="batch_size is 0"):
        replace(options, batch_size=0)
    with pytest.raises(OptionsError, match="learning rates"):
        replace(options, learning_rate=0.0)
    with pytest.raises(OptionsError, match="does not exist"):
        replace(options, data=options.data / "absent")
