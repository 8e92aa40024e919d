"""An adapter between two: the formula, what only one of them tunes, and what does not fit."""

import numpy as np
import pytest
import torch

from redvillm.errors import OptionsError
from redvillm.export.adapter import Adapter, AdapterOptions
from redvillm.export.tuning import LanguageTuning
from redvillm.training.averaging import TunedAdapter, averaged

SIZES = AdapterOptions(num_patches=2, vision_width=3, llm_width=4, num_motion_tokens=1, hidden_width=5, motion_hidden_width=2)


def made(seed, tuning=None, sizes=SIZES):
    torch.manual_seed(seed)
    adapter = Adapter(sizes)
    for parameter in adapter.parameters():
        parameter.data.normal_()
    return TunedAdapter(adapter, LanguageTuning() if tuning is None else tuning)


@pytest.mark.parametrize("share", [0.25, 0.4, 0.99])
def test_every_number_lies_between(share):
    one, other = (np.array(values, np.float32) for values in ([1, -2], [3, 4]))
    start = made(0, LanguageTuning(row_scales={"a": one}, norms={"n": one}))
    end = made(1, LanguageTuning(row_scales={"a": other, "b": other}))
    result = averaged(start, end, share)
    for name, value in result.adapter.state_dict().items():
        expected = share * start.adapter.state_dict()[name].double() + (1 - share) * end.adapter.state_dict()[name].double()
        torch.testing.assert_close(value.double(), expected, rtol=1e-6, atol=1e-6)
    assert set(result.tuning.row_scales) == {"a", "b"}
    np.testing.assert_allclose(result.tuning.row_scales["a"], share * one + (1 - share) * other, rtol=1e-6)
    np.testing.assert_allclose(result.tuning.row_scales["b"], (1 - share) * other, rtol=1e-6)  # unchanged in the other: zero
    np.testing.assert_allclose(result.tuning.norms["n"], share * one, rtol=1e-6)
    assert not result.tuning.minimum_shifts


def test_adapters_of_other_sizes_are_refused():
    sizes = AdapterOptions(num_patches=2, vision_width=3, llm_width=4, num_motion_tokens=1, hidden_width=6, motion_hidden_width=2)
    with pytest.raises(OptionsError, match="different sizes"):
        averaged(made(0), made(1, sizes=sizes), 0.5)
