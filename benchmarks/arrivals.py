"""When questions arrive: at equal intervals, or at random. Knows times only.

Arrivals are fixed before the run and do not wait for answers: a slow answer delays none of the questions behind it, so its cost shows in
their latency (an open load; a load that waits for each answer hides exactly the slow moments).
"""

from typing import Literal

import numpy as np

Arrivals = Literal["poisson", "regular"]
ARRIVALS: tuple[Arrivals, ...] = ("poisson", "regular")


def arrival_times_s(kind: Arrivals, every_s: float, length_s: float, seed: int) -> list[float]:
    """Return the ordered times of questions within `length_s` seconds: round(length_s / every_s) of them.

    'regular' asks in the middle of each interval. 'poisson' is a Poisson process given that number of arrivals, which are then
    independent and uniform (so that a short segment is not empty by chance); the same seed gives the same times.
    """
    count = int(np.floor(length_s / every_s + 0.5))
    if kind == "regular":
        return [(index + 0.5) * every_s for index in range(count)]
    times: list[float] = np.sort(np.random.default_rng(seed).uniform(0.0, length_s, count)).tolist()
    return times
