"""Figures of the torch model on questions that training does not see.

An answer counts as right when greedy decoding would give the first accepted one token for token; `redvillm eval` measures the exported bundle, with
every accepted answer. Knows clips and a model; does not know how it was trained.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from redvillm.prompt import Prompt
from redvillm.training.packing import pack
from redvillm.training.samples import Sample
from redvillm.training.video_llm import VideoLLM, num_visual_tokens, row_losses

_BATCH = 4


@dataclass(frozen=True)
class HeldOutScore:
    """One kind of question: share of right answers, mean loss per token (nat), number of questions."""

    kind: str
    right_share: float
    loss: float
    count: int


def held_out_scores(model: VideoLLM, samples: Sequence[Sample], prompt: Prompt, stop_token_id: int) -> list[HeldOutScore]:
    """Return a score of each kind, most frequent first."""
    outcomes: dict[str, list[tuple[float, bool]]] = defaultdict(list)
    for start in range(0, len(samples), _BATCH):
        for kind, loss, right in _outcomes(model, samples[start : start + _BATCH], prompt, stop_token_id):
            outcomes[kind].append((loss, right))
    scores = [
        HeldOutScore(kind, sum(right for _, right in rows) / len(rows), sum(loss for loss, _ in rows) / len(rows), len(rows))
        for kind, rows in outcomes.items()
    ]
    return sorted(scores, key=lambda score: -score.count)


def _outcomes(model: VideoLLM, samples: Sequence[Sample], prompt: Prompt, stop_token_id: int) -> Iterable[tuple[str, float, bool]]:
    num_motion = model.adapter.options.num_motion_tokens
    batch = pack(samples, [num_visual_tokens(sample.features, num_motion) for sample in samples], prompt, stop_token_id)
    with torch.inference_mode():
        logits = model([model.visual_tokens(sample.features) for sample in samples], batch)
        losses, hits = row_losses(logits, batch), logits.argmax(-1) == batch.targets
    turns = [turn for sample in samples for turn in sample.turns]
    for number, turn in enumerate(turns):
        own: Tensor = batch.branches == number
        yield turn.kind, float(losses[own].mean()), bool(hits[own].all())
