"""Whole clips: both backends against numpy in float64, over awkward sizes; refusals; buffers."""

import itertools

import numpy as np
import pytest

from redvillm.errors import OptionsError
from redvillm.kernels import frame_energy, motion_energy, spatio_temporal_pool

BACKENDS = ["native", "reference"]
# One of everything, primes, sizes around the tiles (2 frames, blocks of at least 32 patches, 16 and 2048 columns), the default model.
SHAPES = [(1, 1, 1), (1, 49, 1280), (7, 1, 13), (5, 3, 1), (2, 32, 16), (3, 33, 17), (9, 65, 2049), (4, 2, 4099), (19, 31, 1283), (16, 49, 1280)]
UNIT = 2.0**-24  # half a unit in the last place of 1.0, float32


def clip(shape, dtype=np.float32, seed=0):
    return (np.random.default_rng(seed).standard_normal(shape) * 3 + 1).astype(dtype)


def assert_mean(actual, x, axis, shares=None):
    """The textbook bound of a sum of n float32 terms in any order: n half units of the sum of magnitudes."""
    wide = x.astype(np.float64)
    num_terms = x.shape[axis]
    shares = np.full(num_terms, 1 / num_terms) if shares is None else shares
    expected = np.tensordot(shares, wide, (0, axis))
    bound = (num_terms + 8) * UNIT * np.tensordot(shares, np.abs(wide), (0, axis))
    assert actual.dtype == np.float32
    assert actual.shape == expected.shape
    assert (np.abs(actual - expected) <= bound).all()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("shape", SHAPES)
def test_both_means_match_float64(shape, dtype, backend):
    x = clip(shape, dtype)
    temporal, spatial = spatio_temporal_pool(x, backend=backend)
    assert_mean(temporal, x, 0)
    assert_mean(spatial, x, 1)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("shape", SHAPES)
def test_weights_act_on_the_temporal_pooling_only(shape, dtype, backend):
    x = clip(shape, dtype)
    weights = np.random.default_rng(1).uniform(0, 5, shape[0]).astype(np.float32)
    weights[shape[0] // 2 :: 3] = 0
    weights[0] = 2.5
    temporal, spatial = spatio_temporal_pool(x, weights, backend=backend)
    assert_mean(temporal, x, 0, weights.astype(np.float64) / weights.sum(dtype=np.float64))
    assert np.array_equal(spatial, spatio_temporal_pool(x, backend=backend)[1])


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_error_is_at_most_twice_that_of_torch(shape, dtype, backend):
    """Both against the float64 mean of the same features; torch.mean answers in their type.

    Where torch happens to be exact, as for a mean of one, half a unit in the last place of float32 is allowed per value.
    """
    torch = pytest.importorskip("torch")
    x = torch.from_numpy(clip(shape)).to(getattr(torch, dtype))
    for axis, pooled in enumerate(spatio_temporal_pool(x, backend=backend)):
        exact = x.double().mean(axis).numpy()
        error_of_torch = np.abs(x.mean(axis).double().numpy() - exact).max()
        assert np.abs(pooled - exact).max() <= 2 * error_of_torch + UNIT * np.abs(exact).max()


@pytest.mark.parametrize("backend", BACKENDS)
def test_one_weight_picks_its_frame(backend):
    x = clip((6, 3, 21))
    weights = np.array([0, 0, 0, 7, 0, 0], np.float32)
    assert np.array_equal(spatio_temporal_pool(x, weights, backend=backend)[0], x[3])


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("shape", SHAPES)
def test_frame_energy_matches_float64(shape, dtype, backend):
    x = clip(shape, dtype)
    energy = frame_energy(x, backend=backend)
    expected = np.mean(np.diff(x.astype(np.float64), axis=0) ** 2, axis=2)
    assert energy.shape == expected.shape
    # D squares are summed, each of a difference rounded once.
    np.testing.assert_allclose(energy, expected, rtol=(shape[2] + 8) * UNIT)


def test_a_still_clip_has_no_energy():
    x = np.repeat(clip((1, 5, 37)), 4, axis=0)
    assert not frame_energy(x).any()


@pytest.mark.parametrize(("num_rows", "num_segments"), list(itertools.product([0, 1, 2, 3, 4, 7, 15], [0, 1, 2, 4, 5])))
def test_motion_energy_follows_its_formula(num_rows, num_segments):
    energy = clip((num_rows, 3))
    rows_of = [[j for j in range(num_rows) if j * num_segments // num_rows == segment] for segment in range(num_segments)]
    expected = [np.mean(energy[rows].astype(np.float64), axis=0) if rows else np.zeros(3) for rows in rows_of]
    # At most 15 terms are added.
    np.testing.assert_allclose(motion_energy(energy, num_segments), np.reshape(expected, (num_segments, 3)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("backend", BACKENDS)
def test_out_is_written_and_returned(backend):
    x = clip((5, 7, 33))
    out = np.full((7, 33), np.nan, np.float32), np.full((5, 33), np.nan, np.float32)
    returned = spatio_temporal_pool(x, out=out, backend=backend)
    assert returned[0] is out[0]
    assert returned[1] is out[1]
    assert_mean(out[0], x, 0)
    energy = np.full((4, 7), np.nan, np.float32)
    assert frame_energy(x, out=energy, backend=backend) is energy
    assert np.isfinite(energy).all()


def test_reads_a_read_only_clip():
    x = clip((3, 2, 5))
    x.flags.writeable = False
    assert_mean(spatio_temporal_pool(x)[0], x, 0)


def test_values_that_are_not_finite_spread_as_in_any_sum():
    x = clip((5, 4, 20))
    x[2, 1, 3] = np.nan
    x[4, 0, 19] = np.inf
    temporal, spatial = spatio_temporal_pool(x)
    assert np.argwhere(np.isnan(temporal)).tolist() == [[1, 3]]
    assert np.argwhere(np.isinf(spatial)).tolist() == [[4, 19]]


NOT_CONTIGUOUS = clip((4, 3, 16))[:, :, ::2]
READ_ONLY = np.zeros((3, 8), np.float32)
READ_ONLY.flags.writeable = False
X = clip((4, 3, 8))
BUFFER = np.zeros((7, 8), np.float32)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"x": NOT_CONTIGUOUS}, "ascontiguousarray"),
        ({"x": X.T}, "ascontiguousarray"),
        ({"x": X.astype(np.float64)}, "float32, float16 or bfloat16"),
        ({"x": X.astype(">f4")}, "float32, float16 or bfloat16"),
        ({"x": X[0]}, r"\[T, N, D\]"),
        ({"x": X[:0]}, "at least 1"),
        ({"x": X.tolist()}, "numpy.asarray"),
        ({"x": X, "weights": np.ones(3, np.float32)}, r"\[4\]"),
        ({"x": X, "weights": np.ones(4)}, "float32"),
        ({"x": X, "weights": np.zeros(4, np.float32)}, "above zero"),
        ({"x": X, "weights": np.array([1, -1, 1, 1], np.float32)}, "not negative"),
        ({"x": X, "weights": np.array([1, np.nan, 1, 1], np.float32)}, "finite"),
        ({"x": X, "weights": np.array([1, np.inf, 1, 1], np.float32)}, "finite"),
        ({"x": X, "out": X[0]}, "pair"),
        ({"x": X, "out": (X[0], np.zeros((4, 8), np.float32))}, "shares memory"),
        ({"x": X, "out": (BUFFER[:3], BUFFER[2:6])}, "share memory"),
        ({"x": X, "out": (READ_ONLY, np.zeros((4, 8), np.float32))}, "read-only"),
        ({"x": X, "out": (np.zeros((4, 8), np.float32), np.zeros((3, 8), np.float32))}, r"out\[0\]"),
        ({"x": X, "backend": "fast"}, "legal values"),
    ],
)
def test_refuses_in_words(arguments, message, backend):
    with pytest.raises(OptionsError, match=message):
        spatio_temporal_pool(**{"backend": backend, **arguments})


def test_frame_energy_and_motion_energy_refuse_in_words():
    with pytest.raises(OptionsError, match="ascontiguousarray"):
        frame_energy(NOT_CONTIGUOUS)
    with pytest.raises(OptionsError, match=r"\[3, 3\]"):
        frame_energy(X, out=np.zeros((4, 3), np.float32))
    with pytest.raises(OptionsError, match="num_segments"):
        motion_energy(np.zeros((3, 2), np.float32), -1)
    with pytest.raises(OptionsError, match="num_segments"):
        motion_energy(np.zeros((3, 2), np.float32), True)
    with pytest.raises(OptionsError, match=r"\[T - 1, N\]"):
        motion_energy(np.zeros(3, np.float32), 2)
