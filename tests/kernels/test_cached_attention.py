import numpy as np
import pytest

_decoder = pytest.importorskip("redvillm.kernels._decoder")
LEVELS = _decoder.supported_levels()
POSITIONS = 300


def tables(width):
    angles = np.outer(np.arange(POSITIONS), 10000.0 ** (-np.arange(0, width, 2) / width))
    return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)


class Cache:
    def __init__(self, kv_heads, width, positions=POSITIONS):
        self.keys, self.values = (np.zeros((kv_heads, positions, width), np.float16) for _ in range(2))
        self.tables, self.length = tables(width), 0

    def attend(self, packed, heads, *, level=None, threads=1):
        out = np.full((len(packed), heads * self.keys.shape[2]), np.nan, np.float32)
        _decoder.cached_attention(packed, self.keys, self.values, *self.tables, self.length, out, level, threads)
        self.length += len(packed)
        return out


def packed_inputs(tokens, heads, kv_heads, width, seed=0):
    return np.random.default_rng(seed).standard_normal((tokens, (heads + 2 * kv_heads) * width)).astype(np.float32)


def rotated(x, cosines, sines):
    """x [S, heads, width], rotate-half, float64."""
    first, second = np.split(x.astype(np.float64), 2, axis=-1)
    cosines, sines = (table[: len(x), None].astype(np.float64) for table in (cosines, sines))
    return np.concatenate([first * cosines - second * sines, second * cosines + first * sines], axis=-1)


def reference(packed, heads, kv_heads, width):
    """Attention of all tokens over themselves in float64; keys and values are rounded to float16 as the cache does."""
    parts = np.split(packed.reshape(len(packed), -1, width), [heads, heads + kv_heads], axis=1)
    queries, keys = (rotated(part, *tables(width)) for part in parts[:2])
    keys, values = (np.repeat(part.astype(np.float32).astype(np.float16).astype(np.float64), heads // kv_heads, axis=1) for part in (keys, parts[2]))
    scores = np.einsum("shd,thd->hst", queries, keys) / np.sqrt(width)
    scores[:, np.triu(np.ones(scores.shape[1:], bool), 1)] = -np.inf
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return np.einsum("hst,thd->shd", weights / weights.sum(-1, keepdims=True), values).reshape(len(packed), -1)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(("heads", "kv_heads", "width"), [(9, 3, 64), (4, 4, 16), (5, 1, 48), (2, 1, 128)])
@pytest.mark.parametrize("tokens", [1, 2, 17, 64, 65, 129, 300])
def test_attention_is_that_of_float64(level, heads, kv_heads, width, tokens):
    packed = packed_inputs(tokens, heads, kv_heads, width)
    value = Cache(kv_heads, width).attend(packed, heads, level=level)
    # a rotated key that lies between two float16 may be rounded to either: 2^-11 of a key
    np.testing.assert_allclose(value, reference(packed, heads, kv_heads, width), rtol=0, atol=2e-4)


@pytest.mark.parametrize("pieces", [[1] * 9, [128, 1, 1, 20], [60, 8, 1, 130], [299]])
def test_levels_threads_and_divisions_give_the_same_bits(pieces):
    packed = packed_inputs(sum(pieces), 6, 2, 32)
    expected = Cache(2, 32).attend(packed, 6)
    for level in LEVELS:
        for threads in (1, 3):
            cache = Cache(2, 32)
            parts = [cache.attend(part, 6, level=level, threads=threads) for part in np.split(packed, np.cumsum(pieces)[:-1])]
            np.testing.assert_array_equal(np.concatenate(parts), expected)


def test_a_short_cache_is_filled_to_its_end_and_what_lies_behind_is_not_read():
    packed = packed_inputs(70, 4, 2, 16)
    short = Cache(2, 16, positions=70)
    np.testing.assert_array_equal(short.attend(packed, 4), Cache(2, 16).attend(packed, 4))
    with pytest.raises(ValueError, match="cache is too short"):
        short.attend(packed[:1], 4)


def test_stale_positions_do_not_matter():
    """After a rewind the cache holds what was there before, here the worst: not a number."""
    packed = packed_inputs(10, 4, 2, 16)
    cache = Cache(2, 16)
    cache.keys[:], cache.values[:] = np.nan, np.nan
    np.testing.assert_array_equal(cache.attend(packed, 4), Cache(2, 16).attend(packed, 4))


@pytest.mark.parametrize("scale", [30.0, 1000.0])
def test_large_scores_do_not_overflow(scale):
    packed = packed_inputs(40, 2, 1, 32)
    packed[:, :96] *= np.float32(scale)  # scores up to 1e5 or more: the softmax chooses one position
    value = Cache(1, 32).attend(packed, 2)
    assert np.isfinite(value).all()
    assert np.abs(value).max() <= np.abs(packed[:, 96:]).max() * (1 + 2**-10)
