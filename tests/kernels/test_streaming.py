"""The window of a stream: any sequence of pushes and resets against the reference of the newest frames."""

import importlib.util
import os
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redvillm.errors import OptionsError
from redvillm.kernels import StreamingPool, reference
from redvillm.kernels.streaming import MAX_WINDOW_FRAMES

BACKENDS = ["native", "reference"]
NUM_PATCHES, WIDTH = 3, 19


def frames(num_frames, num_patches=NUM_PATCHES, width=WIDTH, dtype=np.float32, scale=10.0, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.standard_normal((num_frames, num_patches, width)) * scale).astype(dtype)


def assert_pools(pool, newest):
    """Compare with the reference of the newest frames, rounded to float16; return what was pooled, and copies of it."""
    x = np.stack(newest).astype(np.float16)
    pooled = pool.pooled()
    wide = x.astype(np.float64)
    # The sums are exact: only the division and the rounding to float32 are left.
    assert np.array_equal(pooled.temporal_pooling, (wide.sum(axis=0) / len(x)).astype(np.float32))
    # N (D) float32 terms, whose magnitudes are bounded by the largest, are added in some order.
    largest = np.abs(wide).max()
    np.testing.assert_allclose(pooled.spatial_pooling, wide.mean(axis=1), rtol=0, atol=(x.shape[1] + 8) * 2.0**-24 * largest)
    expected = reference.motion_energy(reference.frame_energy(x), pool.num_segments)
    np.testing.assert_allclose(pooled.motion_energy, expected, rtol=(x.shape[2] + 16) * 2.0**-23)
    for array in (pooled.temporal_pooling, pooled.spatial_pooling, pooled.motion_energy):
        assert array.dtype == np.float32
        assert not array.flags.writeable
    return pooled, [array.copy() for array in (pooled.temporal_pooling, pooled.spatial_pooling, pooled.motion_energy)]


def as_dtype(frame, dtype):
    """The frame in a type, and the same values as float32; bfloat16 is torch's, because numpy has none."""
    if dtype != "bfloat16":
        return frame.astype(dtype), frame.astype(dtype).astype(np.float32)
    tensor = pytest.importorskip("torch").from_numpy(frame).bfloat16()
    return tensor, tensor.float().numpy()


HAS_TORCH = importlib.util.find_spec("torch") is not None and not os.environ.get("REDVILLM_TEST_WITHOUT_TORCH")
DTYPES = ["float32", "float16", *(["bfloat16"] if HAS_TORCH else [])]
STEPS = st.lists(st.tuples(st.sampled_from(["push", "push", "push", "push", "repeat", "reset", "bad"]), st.sampled_from(DTYPES)), max_size=40)


@pytest.mark.parametrize("backend", BACKENDS)
@given(
    steps=STEPS,
    num_frames=st.integers(1, 9),
    num_segments=st.integers(0, 5),
    size=st.sampled_from([(NUM_PATCHES, WIDTH), (1, 1), (1, 17), (5, 16), (2, 33)]),
    seed=st.integers(0, 1000),
    scale=st.sampled_from([1e-6, 1.0, 1e4]),
)
@settings(max_examples=300, deadline=None)
def test_any_sequence_matches_the_newest_frames(backend, steps, num_frames, num_segments, size, seed, scale):
    pool = StreamingPool(num_frames, *size, num_segments, backend=backend)
    memory_bytes = pool.memory_bytes
    rng = np.random.default_rng(seed)
    seen, snapshots = [], []
    for step, dtype in steps:
        if step == "reset":
            pool.reset()
            seen.clear()
            assert len(pool) == 0
            continue
        frame = (rng.standard_normal(size) * scale).clip(-6e4, 6e4).astype(np.float32)
        if step == "bad":
            frame[rng.integers(size[0]), rng.integers(size[1])] = rng.choice([np.nan, np.inf, -1e6])
            with np.errstate(over="ignore"), pytest.raises(OptionsError, match="not finite"):
                pool.push(as_dtype(frame, dtype)[0])
        elif step == "repeat" and seen:
            seen.append(seen[-1])
            pool.push(seen[-1])
        else:
            pushed, values = as_dtype(frame, dtype)
            pool.push(pushed)
            seen.append(values)
        assert len(pool) == min(len(seen), num_frames)
        if seen:
            snapshots.append(assert_pools(pool, seen[-num_frames:]))
    for snapshot, copies in snapshots:
        assert all(map(np.array_equal, (snapshot.temporal_pooling, snapshot.spatial_pooling, snapshot.motion_energy), copies))
    assert pool.memory_bytes == memory_bytes


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("size", [(1, 1), (1, 1283), (49, 1), (49, 1280)])
def test_both_backends_give_the_same_numbers(size, dtype):
    pools = [StreamingPool(5, *size, 2, backend=backend) for backend in BACKENDS]
    for frame in frames(12, *size, dtype=dtype):
        for pool in pools:
            pool.push(frame)
        native, expected = (pool.pooled() for pool in pools)
        assert np.array_equal(native.temporal_pooling, expected.temporal_pooling)
        # Float32 sums in another order: N terms of size 10, and D squares.
        np.testing.assert_allclose(native.spatial_pooling, expected.spatial_pooling, rtol=0, atol=(size[0] + 8) * 2.0**-23 * 50)
        np.testing.assert_allclose(native.motion_energy, expected.motion_energy, rtol=(size[1] + 16) * 2.0**-23)


def test_there_is_no_drift():
    """After 20,000 pushes of mixed magnitudes, the window is bit for bit the one that saw the last T frames only."""
    num_frames = 7
    old, fresh = StreamingPool(num_frames, 2, 17, 3), StreamingPool(num_frames, 2, 17, 3)
    clip = frames(257, 2, 17) * np.geomspace(1e-7, 1e3, 257, dtype=np.float32)[:, None, None]
    for index in range(20_000):
        old.push(clip[index * 89 % 257])
    for index in range(20_000 - num_frames, 20_000):
        fresh.push(clip[index * 89 % 257])
    for name in ("temporal_pooling", "spatial_pooling"):
        assert np.array_equal(getattr(old.pooled(), name), getattr(fresh.pooled(), name))
    assert np.array_equal(old.pooled().motion_energy, fresh.pooled().motion_energy)


def test_sums_stay_exact_in_the_longest_window():
    """The worst case: the largest halves with a last place of 2^-24 among them."""
    pool = StreamingPool(MAX_WINDOW_FRAMES, 1, 2, 0)
    big = np.full((1, 2), 65504, np.float16)
    tiny = np.full((1, 2), 2.0**-24, np.float16)
    pool.push(tiny)
    for _ in range(MAX_WINDOW_FRAMES):
        pool.push(big)
    pool.push(tiny)
    for _ in range(MAX_WINDOW_FRAMES - 1):
        pool.push(np.zeros((1, 2), np.float16))
    assert (pool.pooled().temporal_pooling == np.float32(2.0**-24 / MAX_WINDOW_FRAMES)).all()


def test_snapshots_are_copies_and_read_only():
    pool = StreamingPool(3, NUM_PATCHES, WIDTH, 2)
    clip = frames(9)
    for frame in clip[:4]:
        pool.push(frame)
    snapshot = pool.pooled()
    copies = [array.copy() for array in (snapshot.temporal_pooling, snapshot.spatial_pooling, snapshot.motion_energy)]
    for frame in clip[4:]:
        pool.push(frame)
    pool.reset()
    for array, copy in zip((snapshot.temporal_pooling, snapshot.spatial_pooling, snapshot.motion_energy), copies, strict=True):
        assert np.array_equal(array, copy)
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


def test_the_pushed_frame_is_copied():
    pool = StreamingPool(2, NUM_PATCHES, WIDTH, 1)
    frame = frames(1)[0]
    pool.push(frame)
    before = pool.pooled().temporal_pooling
    frame[:] = 0
    assert np.array_equal(pool.pooled().temporal_pooling, before)


def test_pushes_allocate_nothing_that_lasts_or_grows():
    pool = StreamingPool(4, 16, 512, 2)
    memory_bytes = pool.memory_bytes
    clip = frames(8, 16, 512)
    tracemalloc.start()
    for index in range(500):
        pool.push(clip[index % 8])
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < clip[0].nbytes
    assert pool.memory_bytes == memory_bytes == 5 * 16 * 512 * 2 + 16 * 512 * 8 + 5 * (512 + 16) * 4


@pytest.mark.parametrize("present", [1, 2, 3])
def test_a_window_that_is_not_full_yet(present):
    pool = StreamingPool(16, NUM_PATCHES, WIDTH, 4)
    clip = frames(present)
    for frame in clip:
        pool.push(frame)
    assert_pools(pool, list(clip))
    assert pool.pooled().spatial_pooling.shape == (present, WIDTH)
    assert pool.pooled().motion_energy.shape == (4, NUM_PATCHES)


def test_refuses_in_words():
    pool = StreamingPool(2, NUM_PATCHES, WIDTH, 1)
    with pytest.raises(OptionsError, match="empty"):
        pool.pooled()
    with pytest.raises(OptionsError, match=r"\[3, 19\]"):
        pool.push(np.zeros((3, 18), np.float32))
    with pytest.raises(OptionsError, match="float32, float16 or bfloat16"):
        pool.push(np.zeros((3, 19)))
    with pytest.raises(OptionsError, match="ascontiguousarray"):
        pool.push(np.zeros((19, 3), np.float32).T)
    assert len(pool) == 0
    for sizes, name in [
        ((0, 1, 1, 0), "num_frames"),
        ((8193, 1, 1, 0), "8192"),
        ((1, 0, 1, 0), "num_patches"),
        ((1, 1, 1.5, 0), "width"),
        ((1, 1, 1, -1), "num_seg"),
    ]:
        with pytest.raises(OptionsError, match=name):
            StreamingPool(*sizes)
    with pytest.raises(OptionsError, match="legal values"):
        StreamingPool(1, 1, 1, 1, backend="cuda")
