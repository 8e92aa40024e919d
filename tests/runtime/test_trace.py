"""Traces: what was recorded is what is played, and a file that anybody made ends in words."""

import itertools
import time
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redvillm.errors import OptionsError, RedvillmError, SourceFormatError, StorageError
from redvillm.runtime.drops import FrameCounts
from redvillm.runtime.frame import Frame
from redvillm.runtime.source import SourceLimits, make_source
from redvillm.runtime.source_trace import TraceSource
from redvillm.runtime.trace_format import FOOTER, MAGIC, RECORD_HEAD, Kind, pack_frame, pack_record, unpack_frame
from redvillm.runtime.trace_reader import TraceReader
from redvillm.runtime.trace_recorder import TraceRecorder
from redvillm.runtime.trace_writer import TraceWriter

LARGE = 1 << 24


def frame(index, shape=(9, 7), captured_s=None, is_bgr=True):
    random = np.random.default_rng(index)
    return Frame(random.integers(0, 256, (*shape, 3), dtype=np.uint8), index * 0.1 if captured_s is None else captured_s, is_bgr=is_bgr)


def write(path, frames, *, max_bytes=LARGE, books=({"captured": 3},)):
    writer = TraceWriter(path, {"source": "a test"}, max_bytes=max_bytes)
    for entry in frames:
        assert writer.add_frame(entry, entry.captured_s)
    for document in books:
        writer.add_books(document)
    writer.close()
    return path


def play(path):
    """Return times and pixels of all frames, and the reader."""
    with TraceReader(path) as reader:
        frames = []
        while (traced := reader.next_frame()) is not None:
            frames.append((traced.time_s, traced.is_bgr, traced.pixels()))
        return frames, reader


@settings(deadline=None)
@given(
    height=st.integers(1, 40), width=st.integers(1, 40), seed=st.integers(0, 100), is_bgr=st.booleans(), time_s=st.floats(0, 1e9), flip=st.booleans()
)
def test_a_frame_comes_back_as_it_was(height, width, seed, is_bgr, time_s, flip):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    pixels = pixels[::-1, :, ::-1] if flip else pixels  # not contiguous
    traced = unpack_frame(pack_frame(Frame(pixels, 0.0, is_bgr=is_bgr), time_s))
    assert (traced.time_s, traced.is_bgr) == (time_s, is_bgr)
    np.testing.assert_array_equal(traced.pixels(), pixels)


def test_a_trace_gives_its_frames_times_and_books(tmp_path):
    frames = [frame(index, (5 + index, 8)) for index in range(4)]
    played, reader = play(write(tmp_path / "a.rvtrace", frames))
    assert [time_s for time_s, _, _ in played] == [entry.captured_s for entry in frames]
    for (_, _, pixels), entry in zip(played, frames, strict=True):
        np.testing.assert_array_equal(pixels, entry.pixels)
    assert (reader.fault, reader.books, reader.header["source"], reader.declared) == (None, {"captured": 3}, "a test", (4, frames[-1].captured_s))


def test_a_file_that_is_there_is_not_overwritten_and_a_place_that_is_not_is_told(tmp_path):
    (tmp_path / "a.rvtrace").write_text("mine")
    with pytest.raises(OptionsError, match="exists"):
        TraceWriter(tmp_path / "a.rvtrace", {}, max_bytes=LARGE)
    assert (tmp_path / "a.rvtrace").read_text() == "mine"
    with pytest.raises((StorageError, OSError)):
        TraceWriter(tmp_path / "nowhere" / "a.rvtrace", {}, max_bytes=LARGE)


def test_the_file_stays_below_its_limit_and_is_whole(tmp_path):
    limit = 20_000
    writer = TraceWriter(tmp_path / "a.rvtrace", {}, max_bytes=limit)
    taken = list(itertools.takewhile(lambda index: writer.add_frame(frame(index, (20, 20)), index * 0.1), range(1000)))
    for _ in range(1000):
        writer.add_books({"captured": 1})
    writer.close()
    assert 3 <= len(taken) < 20
    assert (tmp_path / "a.rvtrace").stat().st_size <= limit
    played, reader = play(tmp_path / "a.rvtrace")
    assert len(played) == len(taken)
    assert reader.fault is None


def test_a_disk_that_fills_up_leaves_what_is_whole(tmp_path):
    writer = TraceWriter(tmp_path / "a.rvtrace", {}, max_bytes=LARGE)
    assert writer.add_frame(frame(0), 0.0)
    real = writer._file

    class Full:
        def write(self, data):
            real.write(data[: len(data) // 2])
            raise OSError(28, "No space left on device")

        def __getattr__(self, name):
            return getattr(real, name)

    writer._file = Full()
    with pytest.raises(StorageError, match="No space left"):
        writer.add_frame(frame(1), 0.1)
    writer._file = real
    assert writer.add_frame(frame(2), 0.2)
    writer.close()
    played, reader = play(tmp_path / "a.rvtrace")
    assert [time_s for time_s, _, _ in played] == [0.0, 0.2]
    assert reader.fault is None


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return write(tmp_path_factory.mktemp("trace") / "whole.rvtrace", [frame(index) for index in range(5)]).read_bytes()


def check_damaged(path, data):
    """Play whatever `data` is: words, or a run of the true frames from the first on."""
    path.write_bytes(data)
    try:
        played, reader = play(path)
    except SourceFormatError:
        return 0, None
    for index, (time_s, _, pixels) in enumerate(played):
        assert time_s == frame(index).captured_s
        np.testing.assert_array_equal(pixels, frame(index).pixels)
    return len(played), reader


def test_a_cut_file_plays_up_to_the_cut_and_says_so(whole, tmp_path):
    counts = []
    for length in range(len(MAGIC), len(whole)):
        count, reader = check_damaged(tmp_path / "cut.rvtrace", whole[:length])
        counts.append(count)
        assert reader is None or "cut short" in reader.fault
    assert counts == sorted(counts)
    assert set(counts) == set(range(6))


@settings(deadline=None, max_examples=300)
@given(data=st.data())
def test_damage_is_never_played(whole, tmp_path_factory, data):
    changed = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        place, value = data.draw(st.integers(0, len(whole) - 1)), data.draw(st.integers(0, 255))
        changed[place] = value
    count, reader = check_damaged(tmp_path_factory.mktemp("damage") / "a.rvtrace", bytes(changed))
    assert count == 5 or reader is None or reader.fault


@settings(deadline=None, max_examples=200)
@given(tail=st.binary(max_size=200))
def test_any_bytes_after_the_magic_end_in_words(tmp_path_factory, tail):
    check_damaged(tmp_path_factory.mktemp("any") / "a.rvtrace", MAGIC + tail)


def hostile_frame(height, width, deflated, time_s=0.0, flag=1):
    import struct

    return struct.pack("<dIIB", time_s, height, width, flag) + deflated


@pytest.mark.parametrize(
    "payload",
    [
        hostile_frame(1 << 31, 1 << 31, b""),
        hostile_frame(0, 4, b""),
        hostile_frame(2, 2, b"", time_s=float("nan")),
        hostile_frame(2, 2, b"", time_s=float("inf")),
        hostile_frame(2, 2, b"", time_s=-1.0),
        hostile_frame(2, 2, b"", flag=2),
        b"short",
    ],
)
def test_a_frame_that_cannot_be_is_none(payload):
    assert unpack_frame(payload) is None


@pytest.mark.parametrize(
    "deflated",
    [
        b"",
        b"not deflated",
        zlib.compress(b"\0" * 11),
        zlib.compress(b"\0" * 13),
        zlib.compress(b"\0" * (1 << 24)),  # a bomb: inflates to 16 MiB, and is stopped after 13 bytes
        zlib.compress(b"\0" * 12)[:-1],
        zlib.compress(b"\0" * 12) + b"more",
    ],
)
def test_pixels_that_do_not_fit_are_told_and_count_as_damaged(deflated, tmp_path):
    payload = hostile_frame(2, 2, deflated)
    with pytest.raises(SourceFormatError):
        unpack_frame(payload).pixels()
    path = tmp_path / "a.rvtrace"
    path.write_bytes(MAGIC + pack_record(Kind.HEADER, b"{}") + pack_record(Kind.FRAME, payload))
    source = TraceSource(path, SourceLimits())
    source.open()
    assert source.grab() is not None
    assert source.retrieve() is None
    assert source.grab() is None
    source.close()


@pytest.mark.parametrize(
    "data",
    [
        b"x",
        MAGIC[:-1] + b"\x09",
        MAGIC,
        MAGIC + pack_record(Kind.FRAME, b""),
        MAGIC + pack_record(Kind.HEADER, b"[]"),
        MAGIC + pack_record(Kind.HEADER, b"[" * 60000),
        MAGIC + RECORD_HEAD.pack(Kind.HEADER, 1 << 31, 0),
        b"RIFF" + b"\0" * 100,
    ],
)
def test_what_is_no_trace_is_refused_in_words(data, tmp_path):
    path = tmp_path / "a.rvtrace"
    path.write_bytes(data)
    source = make_source(path, SourceLimits())
    with pytest.raises(SourceFormatError):
        source.open()
    assert source.grab() is None


def test_times_that_go_back_end_the_trace(tmp_path):
    path = write(tmp_path / "a.rvtrace", [frame(0, captured_s=1.0), frame(1, captured_s=0.5)])
    played, reader = play(path)
    assert len(played) == 1
    assert "damaged" in reader.fault


def test_a_trace_without_a_frame_is_told(tmp_path):
    source = TraceSource(write(tmp_path / "a.rvtrace", []), SourceLimits())
    source.open()
    with pytest.raises(SourceFormatError, match="no frame"):
        source.grab()
    source.close()


def test_a_wrong_index_is_told(tmp_path):
    path = tmp_path / "a.rvtrace"
    begin = MAGIC + pack_record(Kind.HEADER, b"{}") + pack_record(Kind.FRAME, pack_frame(frame(0), 0.0))
    path.write_bytes(begin + pack_record(Kind.INDEX, b"\0" * 32) + FOOTER.pack(len(begin), b"RVTREND\x01"))
    played, reader = play(path)
    assert len(played) == 1
    assert "damaged" in reader.fault


NO_COUNTS = FrameCounts(captured=0, used=0, drops={})


def test_a_recorder_stops_at_its_limit_in_words(tmp_path, wait_for):
    recorder = TraceRecorder(tmp_path / "a.rvtrace", source_name="x", max_bytes=70_000, counts=lambda: NO_COUNTS)
    for index in range(1000):
        recorder.offer(frame(index, (40, 40)))
        time.sleep(0.001)
        if recorder.status.stopped:
            break
    assert "70000 bytes" in recorder.status.stopped
    assert recorder.close()
    source = TraceSource(tmp_path / "a.rvtrace", SourceLimits())
    source.open()
    assert sum(1 for _ in iter(source.grab, None)) == recorder.status.num_frames > 3
    assert "its recording was stopped" in source.ending
    source.close()


def test_a_recorder_without_a_frame_leaves_no_file(tmp_path):
    recorder = TraceRecorder(tmp_path / "a.rvtrace", source_name="x", max_bytes=70_000, counts=lambda: NO_COUNTS)
    assert recorder.close()
    assert not (tmp_path / "a.rvtrace").exists()


def test_a_recorder_never_holds_up_who_offers(tmp_path, monkeypatch):
    def slowly(self, entry, time_s):
        time.sleep(0.05)
        return True

    recorder = TraceRecorder(tmp_path / "a.rvtrace", source_name="x", max_bytes=LARGE, counts=lambda: NO_COUNTS)
    monkeypatch.setattr(TraceWriter, "add_frame", slowly)
    start_s = time.perf_counter()
    for index in range(100):
        recorder.offer(frame(index))
    assert time.perf_counter() - start_s < 2  # 100 frames would take 5 s
    assert recorder.status.num_missed >= 80
    assert recorder.close()


def test_a_failure_of_the_recorder_is_told_and_ends_it(tmp_path, monkeypatch, wait_for):
    def fails(self, entry, time_s):
        raise MemoryError("no memory")

    monkeypatch.setattr(TraceWriter, "add_frame", fails)
    recorder = TraceRecorder(tmp_path / "a.rvtrace", source_name="x", max_bytes=LARGE, counts=lambda: NO_COUNTS)
    recorder.offer(frame(0))
    wait_for(lambda: recorder.status.stopped)
    assert "no memory" in recorder.status.stopped
    recorder.offer(frame(1))
    assert recorder.close()


def moving(number, period_s=0.004):
    for index in range(number):
        time.sleep(period_s)
        yield np.full((8, 8, 3), index * 7 % 256, np.uint8)


def watched(stream):
    """Follow a stream to its end; return the windows as they came, by the pixels of their frames."""
    assert stream.wait_ended(20)
    assert stream.error is None
    return stream.snapshot


def test_a_stream_is_recorded_and_played_again_the_same(open_stream, tmp_path, wait_for):
    path = tmp_path / "a.rvtrace"
    live = open_stream(moving(60), rate_hz=100, record=path)
    assert live.wait_ended(20)
    original = live.snapshot
    live.close()
    recording = live.recording
    assert recording.stopped is None
    counts = live.status.counts  # a frame that was offered and replaced before it was taken is recorded; one that nobody wanted is not
    assert counts.used <= recording.num_frames <= counts.used + sum(counts.drops.values()) - counts.drops["rate"]
    assert recording.num_bytes == path.stat().st_size

    plays = [play(path)[0] for _ in range(2)]
    assert len(plays[0]) == recording.num_frames
    for first, second in zip(*plays, strict=True):
        assert first[:2] == second[:2]
        np.testing.assert_array_equal(first[2], second[2])
    times_s = [entry[0] for entry in plays[0]]
    assert times_s[0] == 0.0
    np.testing.assert_allclose(np.diff(original.captured_s), np.diff(times_s[-len(original.captured_s) :]), atol=1e-9)  # one clock, shifted

    for rate_hz in (1000, 30):
        snapshots = []
        for _ in range(2):
            replay = open_stream(path, rate_hz=rate_hz, speed="max")
            snapshots.append(watched(replay))
            assert replay.status.counts.captured == recording.num_frames
        assert snapshots[0].clip_times_s == snapshots[1].clip_times_s
        assert snapshots[0].version == snapshots[1].version
        np.testing.assert_array_equal(snapshots[0].pooled.spatial_pooling, snapshots[1].pooled.spatial_pooling)
        if rate_hz == 1000:  # every recorded frame is used
            assert snapshots[0].version == recording.num_frames
        if rate_hz == 1000 and recording.num_frames == counts.used:
            np.testing.assert_array_equal(snapshots[0].pooled.spatial_pooling, original.pooled.spatial_pooling)


def test_a_trace_is_played_at_its_own_speed_even_over_a_long_silence(open_stream, tmp_path, monkeypatch):
    from redvillm.runtime import capture

    monkeypatch.setattr(capture, "_LONGEST_PAUSE_S", 0.1)  # of sources whose times may be wrong
    path = write(tmp_path / "a.rvtrace", [frame(0, captured_s=0.0), frame(1, captured_s=0.05), frame(2, captured_s=0.45)])
    start_s = time.perf_counter()
    stream = open_stream(path)
    assert stream.wait_ended(10)
    assert time.perf_counter() - start_s >= 0.45
    assert stream.ask("a").evidence.frame_times_s == (0.0, 0.05, 0.45)


def test_a_looping_trace_goes_on_with_advancing_times(tmp_path):
    source = make_source(write(tmp_path / "a.rvtrace", [frame(index) for index in range(3)]), SourceLimits(loop=True))
    source.open()
    times_s = [source.grab().clip_time_s for _ in range(7)]
    source.close()
    assert times_s == sorted(set(times_s))


def test_a_cut_trace_says_so_in_the_evidence(open_stream, tmp_path, whole):
    path = tmp_path / "cut.rvtrace"
    path.write_bytes(whole[: len(whole) * 2 // 3])
    stream = open_stream(path, speed="max")
    assert stream.wait_ended(10)
    assert "cut short" in stream.ask("a").evidence.notes[0]


def test_a_source_that_cannot_be_opened_leaves_no_recording(open_stream, tmp_path):
    with pytest.raises(RedvillmError):
        open_stream("/nowhere/clip.mp4", record=tmp_path / "a.rvtrace")
    assert not (tmp_path / "a.rvtrace").exists()


@pytest.mark.parametrize("record", ["a.mp4", "", 3])
def test_the_name_of_a_recording_is_checked(open_stream, record):
    with pytest.raises(OptionsError, match="record"):
        open_stream(moving(1), record=record)
