"""Percentiles of samples. Knows numbers only."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Summary:
    """p50, p95 and p99 of `count` samples, linearly interpolated."""

    p50: float
    p95: float
    p99: float
    count: int


def summarize(samples: Sequence[float]) -> Summary:
    """Return the percentiles of at least one sample."""
    p50, p95, p99 = (float(value) for value in np.percentile(np.asarray(samples, dtype=np.float64), (50, 95, 99)))
    return Summary(p50, p95, p99, len(samples))
