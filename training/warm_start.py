"""Warm start of the alignment on the LLM's own word embeddings, without running the LLM.

The visual tokens of a photo should point to the embeddings of the words that its captions use: the best match over the patches, compared over a
list of content words. A minute of this saves most of the first epochs. Knows embeddings and captions; does not know prompts or the LLM's layers.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

import numpy as np
import torch
from rich.progress import track
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional

from redvillm.export.adapter import Adapter
from redvillm.question_set import DESCRIBE
from redvillm.training.clips import TrainingClip
from redvillm.training.features import FeatureStore, Medium

Subject = TypeVar("Subject")
_BATCH = 32
_TEMPERATURE = 0.05
_MOTION_BATCH = 128
_MIN_USES = 20
_KINDS = (DESCRIBE, "naming")
MOTION_KINDS = ("direction", "zoom", "appearance")
_MOTION_STOP_WORDS = frozenset(("it", "something", "does", "a", "the"))  # "in", "out", "up" and "down" are what is said of motion
_STOP_WORDS = frozenset(
    re.findall(
        r"\w+",
        "a an the is are was be and or of in on at to from with for by as its his her their it he she they them him who that this there some other "
        "another one two three four while up down out off over under into through near next front has have being each very doing something s t",
    )
)


def described_words(clips: Sequence[TrainingClip]) -> dict[Medium, list[str]]:
    """Return the content words of what is said of each image: its captions and its name."""
    found: dict[Medium, list[str]] = defaultdict(list)
    for clip in clips:
        for question in clip.questions:
            if clip.is_image and question.kind in _KINDS:
                found[clip.media[0]] += [word for answer in question.answers for word in _words(answer) if word not in _STOP_WORDS]
    return {medium: words for medium, words in found.items() if words}


def word_tokens(words: Iterable[str], tokenizer: Tokenizer) -> dict[str, int]:
    """Return the frequent words that are a single token (with a leading space), with their token ids."""
    counts = Counter(words)
    encoded = {word: tokenizer.encode(f" {word}", add_special_tokens=False).ids for word, uses in sorted(counts.items()) if uses >= _MIN_USES}
    return {word: ids[0] for word, ids in encoded.items() if len(ids) == 1}


def word_targets(described: Mapping[Subject, Sequence[str]], tokens: Mapping[str, int]) -> dict[Subject, Tensor]:
    """Return, for each image or clip, the shares of the words used, float32 [W]."""
    columns = {word: column for column, word in enumerate(tokens)}
    targets = {}
    for medium, words in described.items():
        row = torch.zeros(len(columns))
        for word in words:
            if word in columns:
                row[columns[word]] += 1
        if row.sum() > 0:
            targets[medium] = row / row.sum()
    return targets


def start_plainly(adapter: Adapter, embeddings: Tensor) -> None:
    """Set the scale of all streams to that of the words; float32 [W, H]."""
    with torch.no_grad():
        adapter.gain.fill_(float(embeddings.square().mean().sqrt()))


def warm_start(adapter: Adapter, embeddings: Tensor, store: FeatureStore, targets: Mapping[Medium, Tensor], *, steps: int, seed: int) -> list[float]:
    """Train the alignment, copy it to the temporal alignment (as RED-VILLM does), set the scale of all streams; return the losses.

    `embeddings` float32 [W, H] of the words; `targets[medium]` float32 [W], the word shares of an image.
    """
    start_plainly(adapter, embeddings)
    generator, media = np.random.default_rng([seed, 2]), sorted(targets)

    def batch() -> tuple[Tensor, Tensor]:
        chosen = [media[place] for place in generator.choice(len(media), min(_BATCH, len(media)), replace=False)]
        features = torch.from_numpy(np.stack([store[medium][0] for medium in chosen]).astype(np.float32))
        return adapter.alignment(features) + adapter.positions, torch.stack([targets[medium] for medium in chosen])

    losses = _point_to_words([*adapter.alignment.parameters(), adapter.positions], embeddings, batch, steps=steps, learning_rate=1e-3)
    adapter.temporal_alignment.load_state_dict(adapter.alignment.state_dict())
    return losses


def motion_words(clips: Sequence[TrainingClip]) -> dict[TrainingClip, list[str]]:
    """Return the content words of what is said of the motion in each clip that is not a single image."""
    found: dict[TrainingClip, list[str]] = {}
    for clip in clips:
        answers = [question.answers[0] for question in clip.questions if question.kind in MOTION_KINDS]
        words = [word for answer in answers for word in _words(answer) if word not in _MOTION_STOP_WORDS]
        if words and not clip.is_image:
            found[clip] = words
    return found


def warm_start_motion(adapter: Adapter, embeddings: Tensor, energies: Tensor, targets: Tensor, *, steps: int, seed: int) -> list[float]:
    """Train the motion alignment in the same way, on the motion energy of clips, and return the losses.

    Through the LLM alone it learns which way things move many times slower. `embeddings` float32 [W, H] of the words, `energies` float32
    [clips, M, N], `targets` float32 [clips, W], the word shares of each clip.
    """
    generator = np.random.default_rng([seed, 3])

    def batch() -> tuple[Tensor, Tensor]:
        chosen = torch.from_numpy(generator.integers(0, len(energies), _MOTION_BATCH))
        return adapter.motion_alignment(energies[chosen]), targets[chosen]

    return _point_to_words(list(adapter.motion_alignment.parameters()), embeddings, batch, steps=steps, learning_rate=2e-3)


def _point_to_words(
    parameters: list[nn.Parameter], embeddings: Tensor, batch: Callable[[], tuple[Tensor, Tensor]], *, steps: int, learning_rate: float
) -> list[float]:
    """Train until the tokens of a batch [B, K, H] point to its words [B, W]: for each word the best match over the tokens counts."""
    directions = functional.normalize(embeddings, dim=-1)
    optimizer = torch.optim.AdamW(parameters, lr=learning_rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=learning_rate, total_steps=steps)
    losses = []
    for _ in track(range(steps), description="warm start"):
        tokens, targets = batch()
        similarity = functional.normalize(tokens, dim=-1) @ directions.T / _TEMPERATURE
        loss = functional.cross_entropy(torch.logsumexp(similarity, dim=1), targets)
        optimizer.zero_grad()
        torch.autograd.backward([loss])
        optimizer.step()
        schedule.step()
        losses.append(float(loss.detach()))
    return losses


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z]+", text.lower())
