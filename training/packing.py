"""Samples as tensors: every question is a branch that sees the prompt's prefix and the visual tokens, but not the other branches.

    prefix | visual tokens | question 1, answer 1 | question 2, answer 2 | ...

The positions of each branch go on from the end of the visual tokens, so that the LLM computes just what it would for one question alone.
Knows the prompt and attention masks; does not know the adapter or the LLM's weights.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from redvillm.prompt import Prompt
from redvillm.training.samples import Sample

_SHORT_ANSWER_TOKENS = 8
_SHORT_ANSWER_WEIGHT = 2.0


@dataclass(frozen=True)
class PackedBatch:
    """B samples padded to S tokens; the visual tokens of sample b fill `visual[b]` of its positions, in order.

    token_ids int64 [B, S] (0 where visual or padding), visual: lists of positions, positions int64 [B, S], mask bool [B, 1, S, S],
    rows int64 [R, 2] (sample, position whose logits are wanted), targets int64 [R], weights float32 [R], branches int64 [R]
    (number of the question in the batch).
    """

    token_ids: Tensor
    visual: tuple[slice, ...]
    positions: Tensor
    mask: Tensor
    rows: Tensor
    targets: Tensor
    weights: Tensor
    branches: Tensor


def pack(samples: Sequence[Sample], num_visual_tokens: Sequence[int], prompt: Prompt, stop_token_id: int) -> PackedBatch:
    """Lay out the samples; `num_visual_tokens` gives N + T + M of each."""
    layouts = [_Layout(sample, num_visual, prompt, stop_token_id) for sample, num_visual in zip(samples, num_visual_tokens, strict=True)]
    length = max(len(layout.ids) for layout in layouts)
    token_ids, positions = np.zeros((2, len(layouts), length), dtype=np.int64)
    mask = np.zeros((len(layouts), 1, length, length), dtype=bool)
    rows: list[tuple[int, int]] = []
    for number, layout in enumerate(layouts):
        size = len(layout.ids)
        token_ids[number, :size], positions[number, :size] = layout.ids, layout.positions
        mask[number, 0, :size, :size] = layout.mask()
        mask[number, 0, size:, 0] = True  # padding must attend to something
        rows += [(number, row) for row in layout.rows]
    branch_starts = np.cumsum([0, *(layout.num_branches for layout in layouts)])
    return PackedBatch(
        token_ids=torch.from_numpy(token_ids),
        visual=tuple(layout.visual for layout in layouts),
        positions=torch.from_numpy(positions),
        mask=torch.from_numpy(mask),
        rows=torch.tensor(rows, dtype=torch.int64),
        targets=torch.tensor([target for layout in layouts for target in layout.targets], dtype=torch.int64),
        weights=torch.tensor([weight for layout in layouts for weight in layout.weights], dtype=torch.float32),
        branches=torch.tensor([start + branch for layout, start in zip(layouts, branch_starts, strict=False) for branch in layout.row_branches]),
    )


class _Layout:
    """Token ids, positions, wanted rows and mask of one sample."""

    def __init__(self, sample: Sample, num_visual: int, prompt: Prompt, stop_token_id: int) -> None:
        self.ids = [*prompt.prefix_ids, *[0] * num_visual]
        self.visual = slice(len(prompt.prefix_ids), len(self.ids))
        self._shared = len(self.ids)
        self._branch_of = [-1] * self._shared
        self.positions = list(range(self._shared))
        self.rows: list[int] = []
        self.targets: list[int] = []
        self.weights: list[float] = []
        self.row_branches: list[int] = []
        self.num_branches = len(sample.turns)
        for branch, turn in enumerate(sample.turns):
            answer = [*prompt.tokenizer.encode(turn.answer, add_special_tokens=False).ids, stop_token_id]
            self._append(branch, list(prompt.suffix_ids(turn.question)), answer)

    def _append(self, branch: int, question: list[int], answer: list[int]) -> None:
        first = len(self.ids) + len(question) - 1
        self.rows += range(first, first + len(answer))
        self.targets += answer
        self.weights += [_SHORT_ANSWER_WEIGHT if len(answer) <= _SHORT_ANSWER_TOKENS else 1.0] * len(answer)
        self.row_branches += [branch] * len(answer)
        ids = question + answer[:-1]
        self.ids += ids
        self.positions += range(self._shared, self._shared + len(ids))
        self._branch_of += [branch] * len(ids)

    def mask(self) -> NDArray[np.bool_]:
        branch = np.array(self._branch_of)
        visible = (branch[None, :] == -1) | (branch[None, :] == branch[:, None])
        return np.asarray(visible & np.tri(len(branch), dtype=bool))
