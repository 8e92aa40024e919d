"""Training clips: questions of files, grouped by what they are about. Knows question sets; does not know features."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from redvillm.errors import OptionsError
from redvillm.question_set import DESCRIBE, VideoQuestion
from redvillm.training.features import Medium

MAX_TEXT_CHARS = 2000


@dataclass(frozen=True)
class TrainingClip:
    """The media whose frames follow each other, and all questions about them."""

    media: tuple[Medium, ...]
    questions: tuple[VideoQuestion, ...]

    @property
    def is_image(self) -> bool:
        """Whether it is a single image."""
        return len(self.media) == 1 and not self.media[0].is_video

    def only(self, kind: str) -> "TrainingClip":
        """Return the clip with its questions of one kind."""
        return TrainingClip(self.media, tuple(question for question in self.questions if question.kind == kind))


def check_lengths(questions: Sequence[VideoQuestion]) -> None:
    """Refuse texts that no sequence of the LLM has room for.

    Raises:
        OptionsError: a question or an answer is longer than MAX_TEXT_CHARS; the message begins with its first words.
    """
    for question in questions:
        for text in (question.question, *question.answers):
            if len(text) > MAX_TEXT_CHARS:
                raise OptionsError(
                    f"the text {text[:40]!r}... has {len(text)} characters; questions and answers of at most {MAX_TEXT_CHARS} are taught"
                )


def group_by_clip(questions: Sequence[VideoQuestion]) -> tuple[TrainingClip, ...]:
    """Return one clip for all questions about the same media, in the order of the first of them."""
    groups: dict[tuple[Medium, ...], list[VideoQuestion]] = {}
    for question in questions:
        groups.setdefault(tuple(Medium(path, not question.is_frames) for path in question.media), []).append(question)
    return tuple(TrainingClip(media, tuple(group)) for media, group in groups.items())


def emphasised(clips: Sequence[TrainingClip], kinds: Sequence[str], seed: int) -> tuple[TrainingClip, ...]:
    """Return all clips with a question of one of these kinds, and as many others if there are, in their order.

    Raises:
        OptionsError: no clip has such a question.
    """
    wanted = [bool({question.kind for question in clip.questions} & set(kinds)) for clip in clips]
    if not any(wanted):
        legal = sorted({question.kind for clip in clips for question in clip.questions})
        raise OptionsError(f"no question is of the kind {' or '.join(map(repr, kinds))}; there are {', '.join(legal)}")
    others = [place for place, chosen in enumerate(wanted) if not chosen]
    kept = set(np.random.default_rng(seed).permutation(others)[: sum(wanted)].tolist())
    return tuple(clip for place, clip in enumerate(clips) if wanted[place] or place in kept)


def described(clips: Sequence[TrainingClip]) -> tuple[TrainingClip, ...]:
    """Return the clips that have a description, with that only."""
    return tuple(clip for clip in (clip.only(DESCRIBE) for clip in clips) if clip.questions)


def media_of(clips: Sequence[TrainingClip]) -> tuple[Medium, ...]:
    """Return every medium once, sorted."""
    return tuple(sorted({medium for clip in clips for medium in clip.media}))
