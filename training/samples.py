"""Training samples: the features of a clip with some of the questions about it.

Sample i of a seed is always the same, so that a run goes on where it stopped. Joins clips with the feature store; does not know tokens or the LLM.
All questions of a sample share its visual tokens, so that the LLM reads them once.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from redvillm.evenly import even_places
from redvillm.question_set import DESCRIBE, VideoQuestion
from redvillm.training.clips import TrainingClip
from redvillm.training.features import FeatureStore
from redvillm.training.wordings import Wordings

_STILL_LENGTHS = (1, 1, 2, 4, 8, 16)
_NOISE_STILL = 0.02
_CAPTIONS_A_CLIP = 3


@dataclass(frozen=True)
class Turn:
    """One question with the answer that is taught."""

    kind: str
    question: str
    answer: str


@dataclass(frozen=True)
class Sample:
    """X float32 [T, N, D] and what is asked about it."""

    features: NDArray[np.float32]
    turns: tuple[Turn, ...]


class Sampler:
    """Samples of some clips, all clips in turn and in a new order each time."""

    def __init__(self, store: FeatureStore, clips: Sequence[TrainingClip], *, max_frames: int, max_questions: int, seed: int) -> None:
        self._store, self._clips = store, clips
        self._max_frames, self._max_questions, self._seed = max_frames, max_questions, seed
        self._order = (-1, np.zeros(0, dtype=np.int64))

    def sample(self, number: int) -> Sample:
        """Return sample `number`, counted from 0."""
        turn, place = divmod(number, len(self._clips))
        if self._order[0] != turn:
            self._order = (turn, np.random.default_rng([self._seed, turn]).permutation(len(self._clips)))
        clip = self._clips[self._order[1][place]]
        generator = np.random.default_rng([self._seed, 1, number])
        return Sample(self._features(clip, generator), self._turns(clip, generator))

    def plain(self, clip: TrainingClip) -> Sample:
        """Return a clip as it is, with its first answers: what is measured instead of learned."""
        features = np.concatenate([self._store[medium] for medium in clip.media]).astype(np.float32)
        return Sample(
            _thinned(features, self._max_frames), tuple(Turn(question.kind, question.question, question.answers[0]) for question in clip.questions)
        )

    def _turns(self, clip: TrainingClip, generator: np.random.Generator) -> tuple[Turn, ...]:
        turns = [turn for question in clip.questions for turn in _taught(question, generator)]
        chosen = generator.permutation(len(turns))[: self._max_questions]
        return tuple(turns[place] for place in sorted(chosen))

    def _features(self, clip: TrainingClip, generator: np.random.Generator) -> NDArray[np.float32]:
        """The clip's frames; an image becomes a still clip of some length, a short clip sometimes has every frame twice."""
        if clip.is_image:
            return _still(self._store[clip.media[0]], int(generator.choice(_STILL_LENGTHS)), generator)
        features = np.concatenate([self._store[medium] for medium in clip.media]).astype(np.float32)
        if 2 * len(features) <= self._max_frames and generator.random() < 0.4:
            features = np.repeat(features, 2, axis=0)
        return _thinned(features, self._max_frames)


def _taught(question: VideoQuestion, generator: np.random.Generator) -> list[Turn]:
    """Of a description three captions, each asked for in words of its own; of other kinds the first answer."""
    if question.kind != DESCRIBE:
        return [Turn(question.kind, question.question, question.answers[0])]
    wordings = Wordings(generator)
    places = generator.permutation(len(question.answers))[:_CAPTIONS_A_CLIP]
    return [Turn(DESCRIBE, wordings.ask(DESCRIBE), question.answers[place]) for place in places]


def _still(features: NDArray[np.float16], length: int, generator: np.random.Generator) -> NDArray[np.float32]:
    """Repeat one frame, with the small changes that a camera's noise makes."""
    frames = np.repeat(features.astype(np.float32), length, axis=0)
    if length > 1 and generator.random() < 0.5:
        frames *= generator.normal(1, _NOISE_STILL, frames.shape).astype(np.float32)
    return frames


def _thinned(features: NDArray[np.float32], max_frames: int) -> NDArray[np.float32]:
    return np.asarray(features[even_places(len(features), max_frames)])
