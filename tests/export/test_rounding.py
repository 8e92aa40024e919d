"""Rounding of weights against plain rounding to the nearest code: outputs must change less, on the inputs it was given."""

import pytest
import torch

from redvillm.export import rounding
from redvillm.export.rounding import CODE_LIMIT, round_weights


def correlated(groups, width, samples, generator):
    mixing = torch.randn(groups, width, width, generator=generator) / width**0.5
    return mixing @ torch.randn(groups, width, samples, generator=generator)


def nearest(weights):
    scales = weights.abs().amax(2).clamp_min(1e-12) / CODE_LIMIT
    return (weights / scales[..., None]).round() * scales[..., None]


@pytest.mark.parametrize(("groups", "out", "width"), [(1, 1, 1), (1, 7, 13), (5, 1, 9), (3, 4, 25), (1, 19, 257)])
def test_outputs_are_kept_better_than_by_nearest_rounding(groups, out, width):
    generator = torch.Generator().manual_seed(width)
    weights = torch.randn(groups, out, width, generator=generator)
    inputs = correlated(groups, width, 4 * width + 3, generator)
    codes, scales = round_weights(weights, inputs)
    assert codes.dtype == torch.int8
    assert codes.shape == weights.shape
    assert int(codes.abs().max()) <= CODE_LIMIT
    rounded = codes.float() * scales[..., None]
    error, plain = (((values - weights) @ inputs).square().sum() for values in (rounded, nearest(weights)))
    assert error <= plain * (1 + 1e-6) + 1e-9
    if width > 20:
        assert error < 0.7 * plain  # enough columns to make errors good


def test_a_layer_too_wide_for_one_hessian_is_rounded_in_parts(monkeypatch):
    monkeypatch.setattr(rounding, "_MAX_COLUMNS", 100)
    generator = torch.Generator().manual_seed(0)
    weights, inputs = torch.randn(1, 5, 257, generator=generator), correlated(1, 257, 1031, generator)
    codes, scales = round_weights(weights, inputs)
    rounded = codes.float() * scales[..., None]
    error, plain = (((values - weights) @ inputs).square().sum() for values in (rounded, nearest(weights)))
    assert error < plain


def test_dead_inputs_and_zero_rows_are_no_trouble():
    weights = torch.randn(1, 3, 5)
    weights[0, 1] = 0
    inputs = torch.randn(1, 5, 11)
    inputs[0, 2] = 0
    for given in (inputs, torch.zeros_like(inputs)):
        codes, scales = round_weights(weights, given)
        assert torch.isfinite(scales).all()
        assert codes[0, 1].abs().max() == 0
        half_a_step = scales[..., None] * CODE_LIMIT * 0.5  # shrunk scales may clip the largest weight
        assert ((codes.float() * scales[..., None] - weights).abs() <= half_a_step + 1e-6).all()


def test_groups_do_not_see_each_other():
    generator = torch.Generator().manual_seed(0)
    weights, inputs = torch.randn(3, 2, 9, generator=generator), correlated(3, 9, 40, generator)
    codes, scales = round_weights(weights, inputs)
    for group in range(3):
        alone = round_weights(weights[group : group + 1], inputs[group : group + 1])
        torch.testing.assert_close(codes[group : group + 1], alone[0])
        torch.testing.assert_close(scales[group : group + 1], alone[1])
