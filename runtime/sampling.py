"""Choosing the next token from its logits.

Knows numbers only; does not know tokens, text or the decoder.
"""

import numpy as np
import numpy.typing as npt

from redvillm.errors import BackendError
from redvillm.runtime.options import GenerationOptions


class Sampler:
    """Chooses tokens one after the other, as `options` say; one sampler serves one answer."""

    def __init__(self, options: GenerationOptions) -> None:
        self._options = options
        self._random = np.random.default_rng(options.seed)

    def choose(self, logits: npt.NDArray[np.float32]) -> int:
        """Return the index of the next token; `logits` are float32 [V].

        Raises:
            BackendError: the logits are not numbers.
        """
        likeliest = int(logits.argmax())
        if not np.isfinite(logits[likeliest]):
            raise BackendError("the decoder gave logits that are not finite numbers; check the memory of this machine, or export the bundle again")
        if self._options.temperature == 0:
            return likeliest
        candidates, probabilities = distribution(logits, self._options)
        position = int(np.searchsorted(probabilities.cumsum(), self._random.random(), side="right"))
        return int(candidates[min(position, len(candidates) - 1)])  # the sum may end a rounding error below the draw


def distribution(logits: npt.NDArray[np.float32], options: GenerationOptions) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float64]]:
    """Return the tokens that may be drawn, likeliest first, and their probabilities (float64, sum 1).

    Temperature first, then the `top_k` likeliest, then of these the fewest whose probability reaches `top_p`; equal logits keep their order.
    A temperature of 0 is not a distribution: see Sampler.
    """
    order = np.argsort(-logits, kind="stable")
    if options.top_k:
        order = order[: options.top_k]
    # the difference first: logits / temperature overflows where temperature is tiny
    weights = np.exp((logits[order].astype(np.float64) - float(logits[order[0]])) / options.temperature)
    probabilities = weights / weights.sum()
    if options.top_p < 1:
        before = probabilities.cumsum() - probabilities
        kept = max(1, int((before < options.top_p).sum()))
        order, probabilities = order[:kept], probabilities[:kept] / probabilities[:kept].sum()
    return order, probabilities
