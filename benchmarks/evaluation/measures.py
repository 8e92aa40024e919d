"""The measures of a report: shares with their interval, the baseline, and the agreement of captions. Knows numbers and words only."""

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np

from redvillm.benchmarks.evaluation.answers import words_of

_Z = 1.959964  # of a 95 % interval


def wilson_interval(num_right: int, count: int) -> tuple[float, float]:
    """Return the 95 % interval of a share (Wilson 1927, score interval); (0, 1) when nothing was counted.

    It stays inside 0 and 1 and is wide where a share is 0 or 1 of few.
    """
    if count == 0:
        return 0.0, 1.0
    share, spread = num_right / count, _Z * _Z / count
    middle = (share + spread / 2) / (1 + spread)
    half = _Z * math.sqrt(share * (1 - share) / count + spread / (4 * count)) / (1 + spread)
    return max(0.0, middle - half), min(1.0, middle + half)


def majority_share(accepted: Sequence[frozenset[str]]) -> float:
    """Return the best share that one and the same answer to all questions could reach; each item is what is accepted for one question."""
    counts = Counter(answer for answers in accepted for answer in answers)
    return max(counts.values(), default=0) / max(len(accepted), 1)


def caption_scores(captions: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, float]:
    """Return BLEU-4 and CIDEr of `captions` beside several references each, by pycocoevalcap.

    Words are lower case without marks (its own tokenizer needs Java and splits a little differently). CIDEr weighs words by how rare they are among
    the references at hand: compare it on the same set only, and not at all on a handful.
    """
    from pycocoevalcap.bleu.bleu_scorer import BleuScorer
    from pycocoevalcap.cider.cider_scorer import CiderScorer

    bleu, cider = BleuScorer(n=4), CiderScorer(n=4)
    for caption, wanted in zip(captions, references, strict=True):
        pair = (" ".join(words_of(caption)), [" ".join(words_of(reference)) for reference in wanted])
        bleu += pair
        cider += pair
    bleu_scores, _ = bleu.compute_score(option="closest", verbose=0)
    return {"BLEU-4": float(bleu_scores[3]), "CIDEr": float(np.asarray(cider.compute_score()[0]))}
