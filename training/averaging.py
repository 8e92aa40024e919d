"""An adapter between two: where a training began and where it ended, number by number.

Going on with a narrower mixture of questions makes an adapter better at these and worse at others. Between both ends of such a run lie adapters that
are about as good at the new and better at the old (WiSE-FT, arXiv 2109.01903), and nothing is paid for it. Knows numbers; does not know questions.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from redvillm.errors import OptionsError
from redvillm.export.adapter import Adapter
from redvillm.export.tuning import TUNED_KINDS, FloatArray, LanguageTuning


@dataclass(frozen=True)
class TunedAdapter:
    """An adapter with its tuning of the LLM."""

    adapter: Adapter
    tuning: LanguageTuning


def averaged(start: TunedAdapter, end: TunedAdapter, start_share: float) -> TunedAdapter:
    """Return `start_share` of the one and the rest of the other; what one of them does not tune counts as unchanged there.

    Raises:
        OptionsError: they have different sizes.
    """
    if start.adapter.options != end.adapter.options:
        raise OptionsError(f"adapters of different sizes cannot be averaged: {start.adapter.options} and {end.adapter.options}")
    adapter = Adapter(end.adapter.options)
    states = start.adapter.state_dict(), end.adapter.state_dict()
    adapter.load_state_dict({name: start_share * states[0][name] + (1 - start_share) * value for name, value in states[1].items()})
    kinds = {kind: _averaged(getattr(start.tuning, kind), getattr(end.tuning, kind), start_share) for kind in TUNED_KINDS}
    return TunedAdapter(adapter.eval(), LanguageTuning(**kinds))


def _averaged(start: Mapping[str, FloatArray], end: Mapping[str, FloatArray], start_share: float) -> dict[str, FloatArray]:
    none = np.float32(0)
    return {
        name: np.asarray(start_share * start.get(name, none) + (1 - start_share) * end.get(name, none), dtype=np.float32)
        for name in sorted(start.keys() | end.keys())
    }
