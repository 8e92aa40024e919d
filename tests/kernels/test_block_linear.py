import numpy as np
import pytest
from block_weights import normed, random_weights, rounded, silu_gate

_decoder = pytest.importorskip("redvillm.kernels._decoder")
LEVELS = _decoder.supported_levels()


def run(x, weights, *, level=None, threads=1, norm=None, epsilon=1e-5, residual=None, gate=False):
    out = np.full((len(x), len(weights.codes) // (2 if gate else 1)), np.nan, np.float32)
    _decoder.block_linear(x, *weights.tiled(), norm, epsilon, residual, out, gate, level, threads)
    return out


def random_inputs(tokens, width, seed=1):
    return (np.random.default_rng(seed).standard_normal((tokens, width)) * 3).astype(np.float32)


def check(value, expected, terms):
    """Float32 sums of K / 32 blocks, each rounded a few times: 2e-6 of the sum of magnitudes is ten roundings of it."""
    assert (np.abs(value - expected) <= 2e-6 * terms + 1e-30).all()


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(("bits", "minimums"), [(4, True), (4, False), (8, True), (8, False)])
@pytest.mark.parametrize("tokens", [1, 2, 3, 17, 129])
@pytest.mark.parametrize(("rows", "columns"), [(1, 32), (16, 64), (50, 576), (97, 1536)])
def test_products_are_those_of_the_exact_weights_and_the_rounded_inputs(level, bits, minimums, tokens, rows, columns):
    x, weights = random_inputs(tokens, columns), random_weights(rows, columns, bits=bits, minimums=minimums, seed=rows)
    inputs, matrix = rounded(x), weights.values()
    largest_terms = np.abs(inputs).reshape(tokens, -1, 32).sum(-1) @ np.abs(matrix).reshape(rows, -1, 32).max(-1).T
    check(run(x, weights, level=level), inputs @ matrix.T, largest_terms * (16 if bits == 8 else 1))


@pytest.mark.parametrize("tokens", [1, 5, 70])
@pytest.mark.parametrize("bits", [4, 8])
def test_levels_threads_and_divisions_give_the_same_bits(tokens, bits):
    x, weights = random_inputs(tokens, 608), random_weights(160, 608, bits=bits)
    norm, residual = np.random.default_rng(2).uniform(0.5, 2, 608).astype(np.float32), random_inputs(tokens, 80, seed=3)
    options = {"norm": norm, "residual": residual, "gate": True}
    expected = run(x, weights, **options)
    assert np.isfinite(expected).all()
    for level in LEVELS:
        for threads in (1, 2, 3):
            np.testing.assert_array_equal(run(x, weights, level=level, threads=threads, **options), expected)
    rows = [run(x[t : t + 1], weights, **{**options, "residual": residual[t : t + 1]}) for t in range(tokens)]
    np.testing.assert_array_equal(np.concatenate(rows), expected)


@pytest.mark.parametrize("level", LEVELS)
def test_norm_gate_and_residual(level):
    x, weights = random_inputs(7, 192), random_weights(96, 192)
    norm, residual = np.random.default_rng(2).uniform(0.5, 2, 192).astype(np.float32), random_inputs(7, 48, seed=3)
    value = run(x, weights, level=level, norm=norm, epsilon=0.1, residual=residual, gate=True)
    # the norm is rounded to float32 before it is rounded to 8 bits: now and then to the neighbouring code, 1/127 of one of 192 inputs
    expected = silu_gate(rounded(normed(x, norm, 0.1)) @ weights.values().T) + residual
    np.testing.assert_allclose(value, expected, rtol=0, atol=2e-3 * np.abs(expected).max())
    assert np.median(np.abs(value - expected)) < 2e-6 * np.abs(expected).max()  # and mostly not


@pytest.mark.parametrize("level", LEVELS)
def test_zeros_give_zeros_and_tiny_and_huge_inputs_are_scaled(level):
    weights = random_weights(33, 64)
    for scale in (0.0, 1e-30, 1e30):
        x = random_inputs(2, 64) * np.float32(scale)
        expected = rounded(x) @ weights.values().T
        np.testing.assert_allclose(run(x, weights, level=level), expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_stays_so_and_in_its_token(level, value):
    x, weights = random_inputs(3, 96), random_weights(40, 96)
    expected = run(x, weights, level=level)
    x[1, 50] = value
    result = run(x, weights, level=level)
    assert not np.isfinite(result[1]).any()
    np.testing.assert_array_equal(result[[0, 2]], expected[[0, 2]])


@pytest.mark.parametrize("level", LEVELS)
def test_the_largest_codes_do_not_saturate(level):
    """Unsigned times signed bytes, added in 16 bits, would."""
    for bits in (4, 8):
        plain = random_weights(16, 32, bits=bits)
        plain.codes[:] = (1 << bits) - 1
        for sign in (1, -1):
            x = np.full((1, 32), sign, np.float32)
            np.testing.assert_allclose(run(x, plain, level=level), rounded(x) @ plain.values().T, rtol=1e-5)


@pytest.mark.parametrize("x_width", [32, 96])
def test_what_does_not_fit_is_refused(x_width):
    with pytest.raises(ValueError, match="do not fit together"):
        run(random_inputs(1, x_width), random_weights(16, 64))
    with pytest.raises(ValueError, match="level 'abacus' is not supported"):
        run(random_inputs(1, 64), random_weights(16, 64), level="abacus")
