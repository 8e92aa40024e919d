"""Training samples: one window of features with several exchanges about it.

Joins the feature store with captions and questions; does not know tokens or the LLM. All exchanges of a sample share its visual tokens, so that the
LLM reads them once.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from redvillm.training.features import FeatureStore
from redvillm.training.questions import CONCEPTS, Exchange, QuestionMaker, concepts_in, with_article

_KIND_SHARES = {"photo": 0.66, "object": 0.16, "sprite": 0.13, "cut": 0.05}
_STILL_LENGTHS = (1, 2, 4, 8, 16)
_NOISE_STILL = 0.02


@dataclass(frozen=True)
class Sample:
    """X float32 [T, N, D] and what is asked about it."""

    features: NDArray[np.float32]
    exchanges: tuple[Exchange, ...]


class Sampler:
    """Endless training samples of one split; the same seed gives the same samples."""

    def __init__(self, store: FeatureStore, captions: Mapping[str, tuple[str, ...]], split: str, seed: int) -> None:
        self._store, self._captions = store, captions
        self._generator = np.random.default_rng(seed)
        self._questions = QuestionMaker(self._generator)
        self._clips = {kind: store.select(split, kind) for kind in ("photo", "object", "sprite")}
        self._classes = sorted({store.records[index].label for index in self._clips["object"]})
        self._concepts = {index: concepts_in(captions[store.records[index].source]) for index in self._clips["photo"]}
        counts = np.array([sum(concept in found for found in self._concepts.values()) for concept in CONCEPTS], dtype=np.float64)
        self._concept_shares = dict(zip(CONCEPTS, counts / counts.sum(), strict=True))

    def __iter__(self) -> Iterator[Sample]:
        kinds = [kind for kind in _KIND_SHARES if self._clips.get(kind, self._clips["photo"])]
        shares = np.array([_KIND_SHARES[kind] for kind in kinds])
        makers = {"photo": self._photo, "object": self._object, "sprite": self._sprite, "cut": self._cut}
        while True:
            yield makers[kinds[self._generator.choice(len(kinds), p=shares / shares.sum())]]()

    def _photo(self) -> Sample:
        index = self._draw("photo")
        views = self._views(index)
        captions = self._captions[self._store.records[index].source]
        exchanges = [self._questions.describe(captions), self._questions.describe(captions), *self._presence(self._concepts[index])]
        if self._generator.random() < 0.3:
            moving = bool(np.any(views[1:] != views[:-1]))
            exchanges.append(self._questions.movement(moving=moving))
        if self._generator.random() < 0.2:
            exchanges.append(self._questions.scene_change(changed=False))
        return Sample(views, tuple(exchanges))

    def _object(self) -> Sample:
        index = self._draw("object")
        name = self._store.records[index].label
        other = str(self._generator.choice([candidate for candidate in self._classes if candidate != name]))
        return Sample(
            self._still(self._store[index][0]),
            (
                self._questions.naming(name),
                self._questions.presence(with_article(name), present=True),
                self._questions.presence(with_article(other), present=False),
            ),
        )

    def _sprite(self) -> Sample:
        index = self._draw("sprite")
        record = self._store.records[index]
        features = self._store[index].astype(np.float32)
        if self._generator.random() < 0.5:
            features = np.repeat(features, 2, axis=0)[int(self._generator.integers(2)) :: int(self._generator.integers(1, 3))][:16]
        captions = self._captions[record.source]
        exchanges = [
            self._questions.direction(record.label),
            self._questions.movement(moving=bool(record.label)),
            self._questions.describe(captions),
            *self._presence(concepts_in(captions)),  # else motion would come to mean yes
        ]
        return Sample(features, tuple(exchanges))

    def _cut(self) -> Sample:
        first, second = self._draw("photo"), self._draw("photo")
        length = int(self._generator.integers(2, 9))
        scenes = [np.repeat(self._store[index][:1], length, axis=0) for index in (first, second)]
        captions = self._captions[self._store.records[second].source] + self._captions[self._store.records[first].source]
        presence = self._presence(self._concepts[first] | self._concepts[second])
        exchanges = (self._questions.scene_change(changed=True), self._questions.describe(captions), *presence)
        return Sample(np.concatenate(scenes).astype(np.float32), exchanges)

    def _views(self, index: int) -> NDArray[np.float32]:
        """A still photo, or its pan: each view held for some frames, or gliding from view to view."""
        views = self._store[index]
        if self._generator.random() < 0.4:
            return self._still(views[int(self._generator.integers(len(views)))])
        pan = (views[1:] if self._generator.random() < 0.7 else views[1:][::-1]).astype(np.float32)
        if self._generator.random() < 0.5:
            return np.repeat(pan, int(self._generator.integers(1, 5)), axis=0)
        return _glide(pan, int(self._generator.integers(3, 17)))

    def _still(self, features: NDArray[np.float16]) -> NDArray[np.float32]:
        """Repeat one frame, with the small changes that a camera's noise makes."""
        length = _STILL_LENGTHS[int(self._generator.integers(len(_STILL_LENGTHS)))]
        frames = np.repeat(features[None].astype(np.float32), length, axis=0)
        if length > 1 and self._generator.random() < 0.5:
            frames *= self._generator.normal(1, _NOISE_STILL, frames.shape).astype(np.float32)
        return frames

    def _presence(self, present: frozenset[str]) -> list[Exchange]:
        """One thing that is there and one that is not, the latter as often as captions name it, so that each question is near balance."""
        exchanges = []
        if present:
            exchanges.append(self._questions.presence(str(self._generator.choice(sorted(present))), present=True))
        absent = [concept for concept in CONCEPTS if concept not in present]
        shares = np.array([self._concept_shares[concept] for concept in absent])
        exchanges.append(self._questions.presence(absent[self._generator.choice(len(absent), p=shares / shares.sum())], present=False))
        return exchanges

    def _draw(self, kind: str) -> int:
        clips = self._clips[kind]
        return clips[int(self._generator.integers(len(clips)))]


def _glide(views: NDArray[np.float32], num_frames: int) -> NDArray[np.float32]:
    """Return `num_frames` features between the views, evenly spaced: motion in every frame, as of a moving camera."""
    places = np.linspace(0, len(views) - 1, num_frames)
    before = np.minimum(places.astype(int), len(views) - 2)
    share = (places - before).astype(np.float32)[:, None, None]
    return np.asarray((1 - share) * views[before] + share * views[before + 1])
