"""The native module itself: every CPU level that this processor runs, against each other and against numpy; its own refusals."""

import numpy as np
import pytest

from redvillm.kernels import _native, reference

LEVELS = _native.supported_levels()
# bfloat16 comes as its bits, in uint16.
DTYPES = [np.float32, np.float16, np.uint16]
# Odd and even numbers of frames, one block of patches and two, rows shorter and longer than what is asked for ahead.
SHAPES = [(1, 1, 1), (5, 3, 17), (9, 35, 33), (6, 2, 2053), (3, 40, 4099), (16, 49, 1280)]


def features(shape, dtype=np.float32):
    x = np.random.default_rng(3).standard_normal(shape).astype(np.float32)
    return (x.view(np.uint32) >> 16).astype(np.uint16) if dtype == np.uint16 else x.astype(dtype)


def pool(x, level, weights=None):
    temporal = np.full(x.shape[1:], np.nan, np.float32)
    spatial = np.full((x.shape[0], x.shape[2]), np.nan, np.float32)
    _native.pool(x, weights, temporal, spatial, level)
    return temporal, spatial


def energy(x, level):
    result = np.full((x.shape[0] - 1, x.shape[1]), np.nan, np.float32)
    _native.frame_energy(x, result, level)
    return (result,)


def push_all(x, level, num_frames=3):
    """Push a clip through a window; return everything that the last push wrote."""
    ring = np.zeros((num_frames + 1, *x.shape[1:]), np.float16)
    sums = np.zeros(x.shape[1:])
    spatial, row = np.empty(x.shape[2], np.float32), np.empty(x.shape[1], np.float32)
    for index, frame in enumerate(x):
        oldest = ring[(index + 1) % len(ring)] if index >= num_frames else None
        previous = ring[(index - 1) % len(ring)] if index else None
        push = reference.push if level == "reference" else _native.push
        options = {} if level == "reference" else {"level": level}
        assert push(frame, ring[index % len(ring)], oldest=oldest, previous=previous, sums=sums, spatial=spatial, energy=row, **options)
    return ring, sums, spatial, row


def test_the_baseline_is_always_there_and_last():
    assert LEVELS[-1] == "baseline"
    assert len(set(LEVELS)) == len(LEVELS)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_all_levels_give_the_same_bits(shape, dtype, level):
    x = features(shape, dtype)
    weights = reference.normalized(np.arange(1, shape[0] + 1).astype(np.float32))
    for compute in (pool, energy, push_all, lambda x, level: pool(x, level, weights)):
        for one, other in zip(compute(x, level), compute(x, "baseline"), strict=True):
            assert np.array_equal(one, other)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_push_matches_the_reference(shape, dtype, level):
    x = features(shape, dtype)
    ring, sums, spatial, row = push_all(x, level)
    expected = push_all(x, "reference")
    assert np.array_equal(ring, expected[0])
    assert np.array_equal(sums, expected[1])
    # Means of N and of D float32 terms of size 1, added in another order.
    np.testing.assert_allclose(spatial, expected[2], rtol=0, atol=shape[1] * 2.0**-22)
    np.testing.assert_allclose(row, expected[3], rtol=(shape[2] + 8) * 2.0**-23)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("has_previous", [False, True])
@pytest.mark.parametrize("has_oldest", [False, True])
def test_push_with_and_without_its_neighbours(has_oldest, has_previous, level):
    frame, oldest, previous = features((3, 5, 35))
    results = []
    for push, options in ((_native.push, {"level": level}), (reference.push, {})):
        buffers = np.zeros((5, 35), np.float16), np.ones((5, 35)), np.empty(35, np.float32), np.empty(5, np.float32)
        slot, sums, spatial, row = buffers
        neighbours = {"oldest": oldest.astype(np.float16) if has_oldest else None, "previous": previous.astype(np.float16) if has_previous else None}
        assert push(frame, slot, **neighbours, sums=sums, spatial=spatial, energy=row, **options)
        results.append(buffers)
    for native, expected in zip(*results, strict=True):
        np.testing.assert_allclose(native, expected, rtol=1e-5, atol=1e-6)  # at most 35 float32 terms of size 1


@pytest.mark.parametrize("level", LEVELS)
def test_every_half_is_read_exactly(level):
    every = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    temporal, spatial = pool(every.reshape(1, 1, -1), level)
    np.testing.assert_array_equal(temporal[0], every.astype(np.float32))
    np.testing.assert_array_equal(spatial[0], every.astype(np.float32))


@pytest.mark.parametrize("level", LEVELS)
def test_every_bfloat16_is_read_exactly(level):
    every = np.arange(1 << 16, dtype=np.uint16)
    expected = reference.widen_bfloat16(every)
    assert expected[0x3F80] == 1
    assert expected[0xC040] == -3
    temporal, spatial = pool(every.reshape(1, 1, -1), level)
    np.testing.assert_array_equal(temporal[0], expected)
    np.testing.assert_array_equal(spatial[0], expected)


@pytest.mark.parametrize("streams", [1, 4])
@pytest.mark.parametrize("threads", [1, 2, 8])
@pytest.mark.parametrize("size", [1, 17, 128, 4099])
def test_the_yardstick_reads_everything(size, threads, streams):
    memory = np.arange(size, dtype=np.float32)  # small integers: float32 sums are exact
    assert _native.read_memory(memory, streams, threads) == memory.sum(dtype=np.float64)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("split", [1, 16, 100, 2049])
def test_the_memory_around_the_features_does_not_matter(split, dtype, level):
    """Where an array begins changes neither what is read nor the bits."""
    x = features((3, 5, 2053), dtype)
    storage = np.full(x.size + 4200, 0x7FFF if dtype == np.uint16 else np.nan, dtype)
    shifted = storage[split : split + x.size].reshape(x.shape)
    shifted[:] = x
    for one, other in zip(pool(shifted, level), pool(x, level), strict=True):
        assert np.array_equal(one, other)


@pytest.mark.parametrize("level", LEVELS)
def test_floats_are_rounded_to_halves_as_numpy_rounds(level):
    halves = np.arange(0x7C00, dtype=np.uint16).view(np.float16).astype(np.float64)
    ties = ((halves[:-1] + halves[1:]) / 2).astype(np.float32)  # exact in float32
    down, up = np.nextafter(ties, np.float32(0)), np.nextafter(ties, np.float32(np.inf))
    edges = np.array([65504, 65519.996, 65520, 65536, 1e38, np.inf, np.nan, 1e-45, 2**-25, 2**-24, 6.1e-5], np.float32)
    values = np.concatenate([halves.astype(np.float32), ties, down, up, edges])
    values = np.concatenate([values, -values])[None]
    slot, sums = np.zeros(values.shape, np.float16), np.zeros(values.shape)
    spatial, row = np.empty(values.shape[1], np.float32), np.empty(1, np.float32)
    _native.push(values, slot, oldest=None, previous=None, sums=sums, spatial=spatial, energy=row, level=level)
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(slot, values.astype(np.float16))


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 65520.0])
@pytest.mark.parametrize("place", [(0, 0), (2, 16), (1, 15)])
def test_push_reports_what_is_not_finite_in_half_precision(level, bad, place):
    frame = features((3, 17))
    frame[place] = bad
    buffers = {"sums": np.zeros((3, 17)), "spatial": np.empty(17, np.float32), "energy": np.empty(3, np.float32)}
    assert not _native.push(frame, np.zeros((3, 17), np.float16), oldest=None, previous=None, **buffers, level=level)


def test_refuses_what_it_cannot_read():
    x, temporal, spatial = features((4, 3, 8)), np.empty((3, 8), np.float32), np.empty((4, 8), np.float32)
    with pytest.raises(ValueError, match="legal levels are"):
        _native.pool(x, None, temporal, spatial, "sse9")
    with pytest.raises(ValueError, match="temporal must be"):
        _native.pool(x, None, spatial, spatial)
    with pytest.raises(ValueError, match="weights must be"):
        _native.pool(x, np.ones(3, np.float32), temporal, spatial)
    with pytest.raises(ValueError, match="energy must be"):
        _native.frame_energy(x, np.empty((4, 3), np.float32))
    for threads in (0, 9):
        with pytest.raises(ValueError, match="threads must be"):
            _native.pool(x, None, temporal, spatial, None, threads)
    with pytest.raises(ValueError, match="streams must be"):
        _native.read_memory(x.reshape(-1), 2, 1)
    with pytest.raises(ValueError, match="slot must be"):
        _native.push(
            x[0], np.zeros((2, 8), np.float16), oldest=None, previous=None, sums=np.zeros((3, 8)), spatial=spatial[0], energy=np.empty(3, np.float32)
        )
    for wrong in (x.astype(np.float64), x[:, :, ::2], x[0]):
        with pytest.raises(TypeError):
            _native.pool(wrong, None, temporal, spatial)
