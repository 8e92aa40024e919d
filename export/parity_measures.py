"""The measures of the parity gate: how far two tensors, or two predictions of the next word, are apart.

Knows numbers only; does not know stages or limits.
"""

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]

TIE_NAT = 0.1  # two words this close are a tie: 8-bit activations may break it either way


def relative_error(value: FloatArray, expected: FloatArray) -> float:
    """Return the largest error over the largest value."""
    with np.errstate(invalid="ignore"):  # as below
        return float(np.abs(value - expected).max() / max(float(np.abs(expected).max()), 1e-12))


def smallest_cosine(value: FloatArray, expected: FloatArray) -> float:
    """Return the smallest cosine over the last axis; a pair of zero vectors counts as equal."""
    return float(_cosines(value, expected).min())


def mean_cosine(value: FloatArray, expected: FloatArray) -> float:
    """Return the mean cosine over the last axis; a pair of zero vectors counts as equal."""
    return float(_cosines(value, expected).mean())


def _cosines(value: FloatArray, expected: FloatArray) -> FloatArray:
    with np.errstate(invalid="ignore", over="ignore"):  # values that are not finite give NaN, which passes no limit
        lengths = [np.linalg.norm(rows, axis=-1) for rows in (value, expected)]
        both_zero = (lengths[0] == 0) & (lengths[1] == 0)
        return np.asarray(np.where(both_zero, 1.0, (value * expected).sum(-1) / np.maximum(lengths[0] * lengths[1], 1e-12)))


def greedy_agreement(expected: FloatArray, value: FloatArray) -> float:
    """Return the share of rows [R, V] whose best word is the expected one, or is tied with it."""
    log_p = _log_softmax(expected)
    chosen = np.take_along_axis(log_p, value.argmax(-1)[:, None], axis=-1)[:, 0]
    return float((chosen >= log_p.max(-1) - TIE_NAT).mean())


def _log_softmax(logits: FloatArray) -> NDArray[np.float64]:
    shifted = logits.astype(np.float64) - logits.max(-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(-1, keepdims=True)))


def divergence(expected: FloatArray, value: FloatArray) -> float:
    """Return the Kullback-Leibler divergence of two rows of logits, nat."""
    log_p, log_q = _log_softmax(expected), _log_softmax(value)
    return float((np.exp(log_p) * (log_p - log_q)).sum())


def negative_log_likelihood(logits: FloatArray, ids: list[int]) -> float:
    """Return the mean over the words of a text after its first, nat; logits [S, V] of its S words."""
    return float(-_log_softmax(logits[:-1])[np.arange(len(ids) - 1), ids[1:]].mean())
