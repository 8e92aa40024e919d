"""Training: the loss falls, what is frozen stays as it is, and a resumed run ends where an uninterrupted one does."""

import copy
from dataclasses import replace

import pytest
import torch

from redvillm.errors import OptionsError
from redvillm.training.clips import described
from redvillm.training.language_tuning import TrainedLanguage
from redvillm.training.options import TrainingOptions
from redvillm.training.samples import Sampler
from redvillm.training.trainer import Trainer, learning_share_at
from redvillm.training.video_llm import VideoLLM


@pytest.fixture
def options(tmp_path):
    (tmp_path / "file").touch()
    return TrainingOptions(
        questions=(tmp_path / "file",),
        run=tmp_path,
        vision_checkpoint=tmp_path / "file",
        language_checkpoint=tmp_path / "file",
        caption_steps=5,
        question_steps=7,
        batch_size=3,
        micro_batch_size=2,
        learning_rate=1e-2,
        held_out_every=6,
        checkpoint_every_s=0,
    )


@pytest.fixture
def tuned(model):
    return VideoLLM(model.adapter, model.llm, TrainedLanguage(model.llm, shifts=True))


def run(model, store, clips, prompt, options, sampler=Sampler):
    captions, questions = (
        sampler(store, chosen, max_frames=16, max_questions=4, seed=options.seed + number) for number, chosen in enumerate((described(clips), clips))
    )
    trainer = Trainer(model, prompt, prompt.tokenizer.token_to_id("<|im_end|>"), options)
    return trainer.train(captions, questions, [questions.plain(clip) for clip in clips[:5]])


def state_of(model):
    language = {} if model.language is None else model.language.parameters()
    return {name: value.detach().clone() for name, value in {**model.adapter.state_dict(), **language}.items()}


def test_the_loss_falls_and_a_frozen_llm_stays(model, store, clips, prompt, options):
    before = copy.deepcopy(model.llm.state_dict())
    progress = run(model, store, clips, prompt, replace(options, question_steps=55))
    assert sum(progress.losses[-10:]) < 0.97 * sum(progress.losses[:10])
    for name, value in model.llm.state_dict().items():
        assert torch.equal(value, before[name])


def test_the_llm_is_tuned_after_the_captions_only(tuned, store, clips, prompt, options):
    matrices = {name: value.clone() for name, value in tuned.llm.state_dict().items() if "linear.weight" in name}
    at_start = state_of(tuned)
    seen = []

    class Watched(Sampler):
        def sample(self, number):
            seen.append(all(bool((value == 0).all()) for value in tuned.language.parameters().values()))
            return super().sample(number)

    run(tuned, store, clips, prompt, options, Watched)
    assert seen == [True] * 18 + [False] * 18  # five steps of captions, and the first step of questions is still to be taken
    changed = {name for name, value in state_of(tuned).items() if not torch.equal(value, at_start[name])}
    assert {name.split(".")[0] for name in changed} >= {"row_scales", "minimum_shifts", "norms", "alignment"}
    for name, value in matrices.items():
        assert torch.equal(value, tuned.llm.state_dict()[name])


@pytest.mark.parametrize("stop_at", [4, 8])
def test_a_resumed_run_equals_an_uninterrupted_one(model, store, clips, prompt, options, tmp_path, stop_at):
    (tmp_path / "whole").mkdir()
    copies = [(copy.deepcopy(model.adapter), copy.deepcopy(model.llm)) for _ in range(3)]
    models = [VideoLLM(adapter, llm, TrainedLanguage(llm, shifts=True)) for adapter, llm in copies]
    expected = run(models[0], store, clips, prompt, replace(options, run=tmp_path / "whole"))

    class StopError(Exception):
        pass

    class Interrupted(Sampler):
        def sample(self, number):
            if number == options.batch_size * stop_at + 1:
                raise StopError
            return super().sample(number)

    with pytest.raises(StopError):
        run(models[1], store, clips, prompt, options, Interrupted)
    progress = run(models[2], store, clips, prompt, options)
    assert progress.step == 12
    assert progress.losses == expected.losses
    assert progress.held_out == expected.held_out
    assert [step for step, _ in progress.held_out] == [6, 12]
    assert set(progress.held_out[0][1]) == {"describe", "presence", "naming"}
    for name, value in state_of(models[2]).items():
        assert torch.equal(value, state_of(models[0])[name])


def test_a_checkpoint_of_another_model_is_refused(model, store, clips, prompt, options):
    run(model, store, clips, prompt, options)
    with pytest.raises(OptionsError, match="belongs to another model"):
        Trainer(VideoLLM(model.adapter, model.llm, TrainedLanguage(model.llm)), prompt, 0, options)


def test_the_learning_rate_warms_up_and_ends_at_its_smallest_share(options):
    long = replace(options, caption_steps=100, question_steps=900)
    shares = [learning_share_at(step, long) for step in range(1000)]
    assert shares[0] < shares[25] < shares[49]
    assert max(shares) == pytest.approx(1)
    assert shares[-1] == pytest.approx(long.min_learning_share, rel=1e-2)


def test_options_are_checked(options):
    with pytest.raises(OptionsError, match="batch_size is 0"):
        replace(options, batch_size=0)
    with pytest.raises(OptionsError, match="learning_rate is 0"):
        replace(options, learning_rate=0.0)
    with pytest.raises(OptionsError, match="does not exist"):
        replace(options, held_out=options.run / "absent")
    with pytest.raises(OptionsError, match="nothing to learn"):
        replace(options, questions=())
    with pytest.raises(OptionsError, match="tune_minimums"):
        replace(options, tune_language=False, tune_minimums=True)
