"""What a window remembers: chunks, their merging, bounded tokens, and answers that rest on them."""

import itertools

import numpy as np
import pytest

from redvillm.errors import ContextOverflowError, OptionsError
from redvillm.kernels import reference
from redvillm.kernels.streaming import StreamingPool
from redvillm.runtime.frame import Frame
from redvillm.runtime.memory import ChunkMemory, merge
from redvillm.runtime.stream_options import StreamOptions
from redvillm.runtime.timings import Stopwatch
from redvillm.runtime.window import Window

T, N, D, M = 4, 3, 5, 2


def features(number, seed=0):
    return np.random.default_rng(seed).standard_normal((number, N, D)).astype(np.float16).astype(np.float32)  # exact in a float16 window


def remembered(frames, max_chunks):
    """Push frames, and return the snapshots."""
    window = Window(StreamingPool(T, N, D, M, backend="reference"), T, ChunkMemory(max_chunks))
    blank = np.zeros((1, 1, 3), np.uint8)
    return [window.push(frame, Frame(blank, index * 1.0, index * 0.5), Stopwatch()) for index, frame in enumerate(frames)]


def test_each_full_window_becomes_a_chunk_that_stays_the_same_object():
    frames = features(11)
    snapshots = remembered(frames, max_chunks=8)
    assert [len(snapshot.remembered) for snapshot in snapshots] == [0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2]
    first, second = snapshots[-1].remembered
    assert snapshots[3].remembered == (first,)
    for chunk, used in ((first, frames[:4]), (second, frames[4:8])):
        temporal, spatial = reference.spatio_temporal_pool(used)
        np.testing.assert_allclose(chunk.temporal_pooling, temporal, atol=1e-6)  # float32 sums in another order
        np.testing.assert_allclose(chunk.spatial_pooling, spatial.mean(axis=0, keepdims=True), atol=1e-6)
        assert chunk.num_frames == T
    assert second.captured_s == (4.0, 7.0)
    assert second.clip_times_s == (2.0, 3.5)
    for array in (second.spatial_pooling, second.motion_energy, second.temporal_pooling):
        assert not array.flags.writeable


def test_a_merged_chunk_holds_the_means_of_all_its_frames():
    frames = features(12, seed=1)
    a, b, c = remembered(frames, max_chunks=8)[-1].remembered
    merged = merge(merge(a, b), c)
    temporal, spatial = reference.spatio_temporal_pool(frames)
    np.testing.assert_allclose(merged.temporal_pooling, temporal, atol=1e-6)
    np.testing.assert_allclose(merged.spatial_pooling, spatial.mean(axis=0, keepdims=True), atol=1e-6)
    assert (merged.num_frames, merged.captured_s, merged.clip_times_s) == (12, (0.0, 11.0), (0.0, 5.5))


@pytest.mark.parametrize("max_chunks", [2, 3, 8, 13])
def test_tokens_are_bounded_and_the_old_is_kept_for_a_long_time(max_chunks):
    snapshots = remembered(np.tile(features(50, seed=2), (40, 1, 1)), max_chunks)
    changes = []
    for before, after in itertools.pairwise(snapshots):
        assert len(after.remembered) <= max_chunks
        if after.remembered is not before.remembered and after.remembered[: len(before.remembered)] != before.remembered:
            changes.append(after.version // T)
    assert changes, "nothing was ever merged"
    assert min(np.diff(changes)) >= max_chunks / 2  # a prefill of the old chunks once in so many new ones
    spans = [chunk.num_frames for chunk in snapshots[-1].remembered]
    assert sum(spans) == 2000  # every frame is in some chunk
    assert spans[0] == max(spans)


def test_horizons_grow_as_they_go_back():
    chunks = remembered(features(16 * 1000, seed=3), 8)[-1].remembered
    spans = [chunk.num_frames for chunk in chunks]
    assert spans[0] > 2 * spans[1] > 4 * spans[2]
    assert spans == sorted(spans, reverse=True)
    assert spans[-1] == T


@pytest.mark.parametrize("max_chunks", [1, 0, -3])
def test_a_memory_that_cannot_be_is_refused(max_chunks):
    with pytest.raises(OptionsError, match="memory"):
        ChunkMemory(max_chunks)


@pytest.mark.parametrize("values", [{"window": "all"}, {"memory_chunks": 1}, {"memory_chunks": 2.5}, {"memory_chunks": True}])
def test_options_of_the_window_are_checked(values):
    with pytest.raises(OptionsError, match=next(iter(values))):
        StreamOptions(**values)


def counted(number):
    for index in range(number):
        yield np.full((8, 8, 3), index % 256, np.uint8)


def test_an_answer_tells_what_it_remembers(open_stream, write_clip, aligner, sizes):
    stream = open_stream(write_clip(num_frames=30, fps=10), window="memory", memory_chunks=4, rate_hz=1000, speed="max")
    assert stream.wait_ended(20)
    answer = stream.ask("what")
    evidence, snapshot = answer.evidence, stream.snapshot
    spans = evidence.remembered
    assert sum(span.num_frames for span in spans) == snapshot.version // 4 * 4
    chunk_tokens = sizes.num_patches
    assert {span.num_visual_tokens for span in spans} == {chunk_tokens}
    assert answer.stats.num_visual_tokens == chunk_tokens * len(spans) + aligner.num_visual_tokens(4)
    assert all(older.age_newest_ms > newer.age_oldest_ms for older, newer in itertools.pairwise(spans))
    assert spans[0].age_oldest_ms > evidence.age_oldest_ms
    assert spans[0].clip_times_s[0] == 0.0
    assert stream.status.num_remembered == len(spans)


def test_without_a_memory_nothing_is_remembered(open_stream, write_clip):
    stream = open_stream(write_clip(num_frames=12), rate_hz=1000, speed="max")
    assert stream.wait_ended(20)
    assert stream.ask("what").evidence.remembered == ()
    assert stream.snapshot.remembered == ()


def test_a_memory_that_leaves_no_room_for_a_question_is_refused_at_once(open_stream, language):
    def check_fits(question, num_visual_tokens, options):
        if num_visual_tokens > 45:
            raise ContextOverflowError("too long")

    language.check_fits = check_fits
    with pytest.raises(ContextOverflowError, match="at most 8"):  # 10 tokens of the window, 4 of each chunk
        open_stream(counted(3), window="memory", memory_chunks=9)
    open_stream(counted(3), window="memory", memory_chunks=8)
    language.check_fits = lambda *_: (_ for _ in ()).throw(ContextOverflowError("too long"))
    with pytest.raises(ContextOverflowError, match="window 'rolling'"):
        open_stream(counted(3), window="memory", memory_chunks=8)
