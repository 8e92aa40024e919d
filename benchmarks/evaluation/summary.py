"""Figures of an evaluation, one row for each kind of question. Knows questions and answers; does not know tables."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from redvillm.benchmarks.evaluation.answers import declines, is_yes_no, normalize
from redvillm.benchmarks.evaluation.evaluator import CONDITIONS, Asked, Condition
from redvillm.benchmarks.evaluation.measures import caption_scores, majority_share, wilson_interval
from redvillm.question_set import DESCRIBE, VideoQuestion


@dataclass(frozen=True)
class Share:
    """A share of `count`, 0 to 1, with its 95 % interval."""

    value: float
    low: float
    high: float
    count: int

    @classmethod
    def of(cls, outcomes: Sequence[bool]) -> "Share":
        """Return the share that is true."""
        low, high = wilson_interval(sum(outcomes), len(outcomes))
        return cls(sum(outcomes) / max(len(outcomes), 1), low, high, len(outcomes))


@dataclass(frozen=True)
class KindRow:
    """Right answers of one kind by condition, and the best share that one answer to all would reach.

    `declined`: how often, with the own video, the answer is that it does not know or that there is none; None where yes or no is asked for.
    """

    kind: str
    shares: dict[Condition, Share]
    baseline: float
    declined: Share | None = None


@dataclass(frozen=True)
class Evaluation:
    """All figures of a run.

    Attributes:
        about: model, provider, counts and versions.
        kinds: questions with right answers.
        captions: BLEU-4 and CIDEr by condition; empty without captions.
        preference: how often the own video makes a caption likelier than a wrong one does; None without captions.
    """

    about: dict[str, Any]
    kinds: tuple[KindRow, ...]
    captions: dict[Condition, dict[str, float]] = field(default_factory=dict)
    preference: Share | None = None

    def to_json(self) -> str:
        """Return one line of JSON."""
        return json.dumps(asdict(self), ensure_ascii=False, allow_nan=False)


def summarize(questions: Sequence[VideoQuestion], asked: Sequence[Asked], about: dict[str, Any]) -> Evaluation:
    """Return the figures of `asked`, answers to `questions`."""
    kinds = list(dict.fromkeys(question.kind for question in questions if question.kind != DESCRIBE))
    preferences = [one.preferred for one in asked if one.preferred is not None]
    captions = {}
    for condition in CONDITIONS:
        described = [one for one in asked if one.condition == condition and questions[one.question].kind == DESCRIBE]
        if described:
            captions[condition] = caption_scores([one.answer for one in described], [questions[one.question].answers for one in described])
    return Evaluation(about, tuple(_row(kind, questions, asked) for kind in kinds), captions, Share.of(preferences) if preferences else None)


def _row(kind: str, questions: Sequence[VideoQuestion], asked: Sequence[Asked]) -> KindRow:
    shares: dict[Condition, Share] = {}
    for condition in CONDITIONS:
        outcomes = [one.right for one in asked if one.condition == condition and questions[one.question].kind == kind]
        if outcomes:
            shares[condition] = Share.of(outcomes)
    accepted = [frozenset(normalize(answer) for answer in question.answers) for question in questions if question.kind == kind]
    with_own = [one for one in asked if one.condition == "own video" and questions[one.question].kind == kind]
    declined = [declines(one.answer) for one in with_own if not is_yes_no(questions[one.question].answers)]
    return KindRow(kind, shares, majority_share(accepted), Share.of(declined) if declined else None)
