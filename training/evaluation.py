"""Held-out figures of a trained adapter, each beside the baseline that needs no picture.

Runs the torch model on the test split: photos that no training step saw. Knows which questions are asked; does not know how the adapter was trained.
An answer counts as right when greedy decoding would give it token for token.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track

from redvillm.prompt import Prompt
from redvillm.training.features import FeatureStore
from redvillm.training.packing import pack
from redvillm.training.questions import CONCEPTS, DESCRIBE, NO, YES, Exchange, concepts_in, with_article
from redvillm.training.samples import Sample
from redvillm.training.video_llm import VideoLLM, num_visual_tokens, row_losses

_NUM_FREQUENT_CONCEPTS = 12


@dataclass(frozen=True)
class Score:
    """One row of the report: share right in percent, the baseline in percent, and how many answers were counted."""

    name: str
    percent: float
    baseline_percent: float
    baseline: str
    count: int


@dataclass(frozen=True)
class _Answers:
    """Of each exchange of a sample: mean negative log-likelihood per token, and whether greedy decoding gives the answer."""

    losses: NDArray[np.float64]
    right: NDArray[np.bool_]


class Evaluator:
    """Asks a model about the test split of a feature store."""

    def __init__(self, model: VideoLLM, store: FeatureStore, captions: Mapping[str, tuple[str, ...]], prompt: Prompt, stop_token_id: int) -> None:
        self._model, self._store, self._captions = model, store, captions
        self._prompt, self._stop_token_id = prompt, stop_token_id

    def scores(self, max_clips: int | None = None) -> list[Score]:
        """Return all rows; `max_clips` bounds the clips of each kind."""
        clips = {kind: self._store.select("test", kind)[:max_clips] for kind in ("photo", "object", "sprite")}
        return [
            *self._caption_scores(clips["photo"]),
            *self._presence_scores(clips["photo"]),
            self._naming_score(clips["object"]),
            *self._motion_scores(clips["sprite"]),
        ]

    def _caption_scores(self, clips: Sequence[int]) -> list[Score]:
        right, wrong = [], []
        for position, index in enumerate(track(clips, description="captions")):
            exchanges = tuple(Exchange("describe", DESCRIBE[0], caption) for caption in self._captions[self._store.records[index].source])
            right.append(self._ask(index, exchanges).losses)
            wrong.append(self._ask(clips[position - 1], exchanges).losses)
        own, other = np.concatenate(right), np.concatenate(wrong)
        return [
            Score("the right photo makes its caption likelier than a wrong one", 100 * float((own < other).mean()), 50.0, "chance", len(own)),
            Score("caption NLL per token, right photo (baseline: wrong photo)", float(own.mean()), float(other.mean()), "not a percentage", len(own)),
        ]

    def _presence_scores(self, clips: Sequence[int]) -> list[Score]:
        present = {index: concepts_in(self._captions[self._store.records[index].source]) for index in clips}
        frequent = sorted(CONCEPTS, key=lambda concept: -sum(concept in found for found in present.values()))[:_NUM_FREQUENT_CONCEPTS]
        outcomes: dict[str, list[tuple[bool, bool]]] = defaultdict(list)
        for index in track(clips, description="presence"):
            truths = [concept in present[index] for concept in frequent]
            exchanges = tuple(
                Exchange("presence", f"Is there {concept}?", YES if truth else NO) for concept, truth in zip(frequent, truths, strict=True)
            )
            for concept, truth, is_right in zip(frequent, truths, self._ask(index, exchanges).right, strict=True):
                outcomes[concept].append((truth, bool(is_right)))
        return [_presence_score(concept, outcomes[concept]) for concept in frequent]

    def _naming_score(self, clips: Sequence[int]) -> Score:
        labels = [self._store.records[index].label for index in clips]
        right = [
            bool(self._ask(index, (Exchange("naming", "What object is this?", f"{with_article(label).capitalize()}."),)).right[0])
            for index, label in zip(track(clips, description="naming"), labels, strict=True)
        ]
        return Score(
            f"naming an object of {len(set(labels))} kinds", 100 * float(np.mean(right)), _majority_percent(labels), "most frequent", len(right)
        )

    def _motion_scores(self, clips: Sequence[int]) -> list[Score]:
        directions, movements = [], []
        for index in track(clips, description="motion"):
            label = self._store.records[index].label
            answer = f"{label.capitalize()}." if label else "It does not move."
            exchanges = (
                Exchange("direction", "Which way does it move?", answer),
                Exchange("movement", "Is anything moving?", YES if label else NO),
            )
            right = self._ask(index, exchanges).right
            directions.append((label, bool(right[0])))
            movements.append((bool(label), bool(right[1])))
        return [
            _plain_score("direction of a patch moving over a photo", directions, "most frequent"),
            _plain_score("whether anything moves (same clips)", movements, "most frequent"),
        ]

    def _ask(self, index: int, exchanges: tuple[Exchange, ...]) -> _Answers:
        record = self._store.records[index]
        features = self._store[index] if record.kind == "sprite" else self._store[index][:1]
        sample = Sample(features.astype(np.float32), exchanges)
        num_visual = num_visual_tokens(sample.features, self._model.adapter.options.num_motion_tokens)
        batch = pack([sample], [num_visual], self._prompt, self._stop_token_id)
        with torch.inference_mode():
            logits = self._model([self._model.visual_tokens(sample.features)], batch)
            losses, hits = row_losses(logits, batch).numpy(), (logits.argmax(-1) == batch.targets).numpy()
        branches = batch.branches.numpy()
        numbers = range(len(exchanges))
        return _Answers(np.array([losses[branches == k].mean() for k in numbers]), np.array([hits[branches == k].all() for k in numbers]))


def scores_table(scores: Sequence[Score]) -> str:
    """Return the rows as a Markdown table."""
    lines = ["| question | answers right | without the picture | n |", "| --- | --- | --- | --- |"]
    for score in scores:
        unit = "" if score.baseline == "not a percentage" else " %"
        digits = 2 if unit == "" else 1
        lines.append(f"| {score.name} | {score.percent:.{digits}f}{unit} | {score.baseline_percent:.{digits}f}{unit} | {score.count} |")
    return "\n".join(lines)


def _presence_score(concept: str, outcomes: Sequence[tuple[bool, bool]]) -> Score:
    return _plain_score(f"is there {concept}?", outcomes, "always the commoner answer")


def _plain_score(name: str, outcomes: Sequence[tuple[object, bool]], baseline: str) -> Score:
    right = [is_right for _, is_right in outcomes]
    return Score(name, 100 * float(np.mean(right)), _majority_percent([truth for truth, _ in outcomes]), baseline, len(outcomes))


def _majority_percent(labels: Sequence[object]) -> float:
    return 100 * max(labels.count(label) for label in set(labels)) / len(labels)
