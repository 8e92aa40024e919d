"""Packing: many questions in one pass give just what each gives alone."""

import numpy as np
import torch

from redvillm.training.packing import pack
from redvillm.training.samples import Sample, Turn
from redvillm.training.video_llm import num_visual_tokens, row_losses

TURNS = (
    Turn("describe", "What is it?", "A dog runs."),
    Turn("presence", "Is there a cat in the video?", "No."),
    Turn("presence", "A dog?", "Yes."),
)


def losses(model, prompt, samples):
    counts = [num_visual_tokens(sample.features, model.adapter.options.num_motion_tokens) for sample in samples]
    batch = pack(samples, counts, prompt, prompt.tokenizer.token_to_id("<|im_end|>"))
    with torch.inference_mode():
        return row_losses(model([model.visual_tokens(sample.features) for sample in samples], batch), batch), batch


def test_packed_equals_alone(model, prompt):
    generator = np.random.default_rng(1)
    windows = [generator.random((num_frames, 4, 6)).astype(np.float32) for num_frames in (1, 5)]
    samples = [Sample(windows[0], TURNS), Sample(windows[1], TURNS[:1])]
    together, batch = losses(model, prompt, samples)
    alone = [losses(model, prompt, [Sample(sample.features, (turn,))])[0] for sample in samples for turn in sample.turns]
    # the same sums in another order
    torch.testing.assert_close(together, torch.cat(alone), rtol=1e-4, atol=1e-4)
    assert batch.branches.unique().tolist() == [0, 1, 2, 3]


def test_every_answer_token_and_the_end_is_a_target(model, prompt):
    _, batch = losses(model, prompt, [Sample(np.ones((2, 4, 6), np.float32), TURNS[1:])])
    end = prompt.tokenizer.token_to_id("<|im_end|>")
    assert batch.targets.tolist() == [*prompt.tokenizer.encode("No.").ids, end, *prompt.tokenizer.encode("Yes.").ids, end]


def test_the_answer_depends_on_the_picture(model, prompt):
    first, _ = losses(model, prompt, [Sample(np.zeros((2, 4, 6), np.float32), TURNS)])
    other, _ = losses(model, prompt, [Sample(np.eye(24, 6, dtype=np.float32)[:8].reshape(2, 4, 6), TURNS)])
    assert (first - other).abs().max() > 1e-3
