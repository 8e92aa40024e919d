"""Asks every question about its own video and about videos that cannot answer it, and counts.

A model that looks at the video does worse on the wrong one; what it scores there anyway is what words alone give. Knows questions and an engine;
does not know how figures are shown.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from redvillm.benchmarks.evaluation.answers import is_right
from redvillm.benchmarks.evaluation.engine import read_image
from redvillm.question_set import DESCRIBE, VideoQuestion
from redvillm.runtime.evidence import VisualPrefix

Condition = Literal["own video", "wrong video", "black video", "shuffled frames"]
CONDITIONS: tuple[Condition, ...] = get_args(Condition)
Pixels = NDArray[np.uint8]
_Media = tuple[Path, ...]


class Answers(Protocol):
    """The part of an Engine that is needed."""

    @property
    def about(self) -> dict[str, str]:
        """What is asked."""

    def watch(self, clip: Path | Sequence[Pixels]) -> VisualPrefix:
        """Visual tokens of a clip."""

    def frames(self, path: Path) -> Iterator[Pixels]:
        """Frames of a video file."""

    def answer(self, prefix: VisualPrefix, question: str) -> str:
        """Answer in words."""

    def likelihood(self, prefix: VisualPrefix, question: str, answer: str) -> float:
        """Negative log-likelihood per token."""


@dataclass(frozen=True)
class Asked:
    """One answer: `question` is its place in the set, `preferred` whether the own video makes the first reference caption likelier."""

    question: int
    condition: Condition
    answer: str
    right: bool
    preferred: bool | None = None


class Evaluator:
    """One pass over a question set; questions about one video share the work of looking at it."""

    def __init__(self, engine: Answers, questions: Sequence[VideoQuestion], *, seed: int = 0) -> None:
        self._engine, self._questions = engine, questions
        self._about: dict[_Media, list[int]] = defaultdict(list)
        for number, question in enumerate(questions):
            self._about[question.media].append(number)
        order = np.random.default_rng(seed).permutation(len(self._about))
        media = list(self._about)
        shuffled = [media[index] for index in order]
        # the next one in a random circle: nobody gets its own, unless there is only one
        self._other = dict(zip(shuffled, shuffled[1:] + shuffled[:1], strict=True))
        self._seed = seed

    @property
    def num_videos(self) -> int:
        """Different videos of the set."""
        return len(self._about)

    def run(self, conditions: Sequence[Condition], progress: Callable[[], object] = lambda: None) -> list[Asked]:
        """Ask everything; `progress` is called after each video, in each condition.

        Raises:
            SourceError: a video or image that cannot be read.
            QuestionError, ContextOverflowError: a question that cannot be asked.
        """
        is_needed = "own video" in conditions or "wrong video" in conditions
        own = {media: self._engine.watch(self._clip(media)) for media in self._about} if is_needed else {}
        found: list[Asked] = []
        for condition in conditions:
            for media, numbers in self._about.items():
                prefix = self._prefix(condition, media, own)
                if prefix is not None:
                    found += [self._ask(number, condition, prefix, own) for number in numbers]
                progress()
        return found

    def _ask(self, number: int, condition: Condition, prefix: VisualPrefix, own: dict[_Media, VisualPrefix]) -> Asked:
        question = self._questions[number]
        answer = self._engine.answer(prefix, question.question)
        if question.kind != DESCRIBE:
            return Asked(number, condition, answer, is_right(answer, question.answers))
        preferred = None
        if condition == "own video" and self.num_videos > 1:
            other = own[self._other[question.media]]
            right, wrong = (self._engine.likelihood(one, question.question, question.answers[0]) for one in (prefix, other))
            preferred = right < wrong
        return Asked(number, condition, answer, False, preferred)

    def _prefix(self, condition: Condition, media: _Media, own: dict[_Media, VisualPrefix]) -> VisualPrefix | None:
        """Return what is shown in this condition; None where it would be the own video again."""
        if condition == "own video":
            return own[media]
        if condition == "wrong video":
            return own[self._other[media]] if self.num_videos > 1 else None
        frames = self._frames(media)
        if condition == "black video":
            return self._engine.watch([np.zeros_like(frame) for frame in frames])
        if len(frames) < 2:
            return None
        order = np.random.default_rng([self._seed, len(frames)]).permutation(len(frames))
        return self._engine.watch([frames[index] for index in order])

    def _clip(self, media: _Media) -> Path | list[Pixels]:
        return self._frames(media) if self._is_frames(media) else media[0]

    def _frames(self, media: _Media) -> list[Pixels]:
        return [read_image(path) for path in media] if self._is_frames(media) else list(self._engine.frames(media[0]))

    def _is_frames(self, media: _Media) -> bool:
        return self._questions[self._about[media][0]].is_frames
