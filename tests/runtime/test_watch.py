"""Watching clips: every bad input of the issue, headers that lie, and the same frames whatever the way."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from redvillm.errors import OptionsError, SourceError, SourceFormatError, SourceNotFoundError
from redvillm.runtime.clip import ClipExtent, ClipPass, plan_was_wrong
from redvillm.runtime.clip_pool import KernelClipPool
from redvillm.runtime.frame import Frame
from redvillm.runtime.opencv import Capture, load_cv2
from redvillm.runtime.trace_writer import TraceWriter
from redvillm.runtime.watch import Watcher


@pytest.fixture
def watcher(encoder, aligner, sizes):
    return Watcher(encoder, aligner, KernelClipPool(sizes.num_motion), sizes.fit)


def write_trace(path, times_s, *, is_bgr=True):
    """Write frames 10 levels brighter each time."""
    writer = TraceWriter(path, {}, max_bytes=1 << 24)
    for index, time_s in enumerate(times_s):
        assert writer.add_frame(Frame(np.full((24, 32, 3), 10 * index % 256, np.uint8), time_s, is_bgr=is_bgr), time_s)
    writer.close()
    return path


def brightness(grounds, sizes):
    """Mean brightness of each frame used, out of the temporal tokens of the fake model."""
    tokens = grounds.prefix.visual_tokens
    return tokens[sizes.num_patches : len(tokens) - sizes.num_motion, 0]


def test_frames_are_spread_evenly_over_the_clip(watcher, write_clip, sizes):
    grounds = watcher.watch(write_clip(num_frames=20, fps=10), 4)
    evidence = grounds.evidence
    assert evidence.frames_used == 4
    assert evidence.frames_captured == 20
    assert evidence.frame_times_s == pytest.approx([0.2, 0.7, 1.2, 1.7], abs=1e-3)
    assert evidence.window_span_s == pytest.approx(1.5, abs=1e-3)
    assert evidence.clip_duration_s == pytest.approx(2.0, abs=1e-3)
    assert evidence.notes == ()
    assert evidence.age_newest_ms is None
    assert brightness(grounds, sizes) == pytest.approx([36, 76, 116, 156], abs=3)  # MJPG is lossy
    assert not grounds.prefix.visual_tokens.flags.writeable
    assert grounds.timings.decode_ms > 0
    assert grounds.timings.wall_ms > 0


@pytest.mark.parametrize("is_bgr", [True, False])
def test_a_trace_is_a_clip_sampled_by_its_arrival_times(watcher, tmp_path, sizes, is_bgr):
    path = write_trace(tmp_path / "a.rvtrace", [0.0, 0.1, 0.2, 0.3, 0.4, 3.0, 3.1, 3.2], is_bgr=is_bgr)
    grounds = watcher.watch(path, 4)
    # eight frames in 3.2 s, each shown for 0.46 s: parts of 0.91 s whose centres are 0.46, 1.37, 2.29, 3.2; the frame at 3.0 stays for the last two
    assert grounds.evidence.frame_times_s == (0.2, 3.0)
    assert grounds.evidence.frames_captured == 8
    assert grounds.evidence.clip_duration_s == pytest.approx(3.2 * 8 / 7)
    assert grounds.evidence.notes == ()
    assert brightness(grounds, sizes) == pytest.approx([20, 50], abs=1e-3)


@pytest.mark.parametrize("kept", [0.5, 0.95])
def test_a_cut_trace_is_answered_up_to_the_cut_and_says_so(watcher, tmp_path, kept):
    path = write_trace(tmp_path / "a.rvtrace", [index / 8 for index in range(40)])
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])
    evidence = watcher.watch(path, 4).evidence
    assert evidence.frames_used == 4
    assert 4 < evidence.frames_captured <= 40
    assert evidence.frame_times_s[-1] > evidence.clip_duration_s * 0.7
    assert "cut short" in evidence.notes[0]


def test_what_is_no_trace_is_no_clip(watcher, tmp_path):
    (tmp_path / "a.rvtrace").write_bytes(b"RIFF" * 50)
    with pytest.raises(SourceFormatError, match="not a trace"):
        watcher.watch(tmp_path / "a.rvtrace", 4)
    with pytest.raises(SourceNotFoundError):
        watcher.watch(tmp_path / "absent.rvtrace", 4)


@pytest.mark.parametrize("num_frames", [1, 2, 3])
def test_a_clip_shorter_than_the_window_is_used_whole(watcher, write_clip, num_frames):
    assert watcher.watch(write_clip(num_frames=num_frames), 4).evidence.frames_used == num_frames


def test_each_frame_is_encoded_once(watcher, encoder, write_clip):
    watcher.watch(write_clip(num_frames=50), 4)
    assert encoder.num_frames == 4


@pytest.mark.parametrize(("name", "fourcc"), [("cut.avi", "MJPG"), ("cut.mkv", "mp4v")])
def test_a_truncated_clip_is_answered_from_what_was_decoded_and_says_so(watcher, write_clip, name, fourcc):
    path = write_clip(name, num_frames=60, fps=10, fourcc=fourcc, noise=True)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    evidence = watcher.watch(path, 4).evidence
    assert evidence.frames_used == 4
    assert 4 < evidence.frames_captured < 60
    assert evidence.frame_times_s[-1] < evidence.clip_duration_s < 6
    assert evidence.frame_times_s[-1] > evidence.clip_duration_s * 0.7  # spread over what is there, not over what was declared
    assert "cut short or damaged" in evidence.notes[0]
    assert f"{evidence.frames_captured} frames" in evidence.notes[0]


def test_a_clip_cut_before_its_index_is_an_error_in_words(watcher, write_clip):
    path = write_clip("cut.mp4", fourcc="mp4v", noise=True)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(SourceFormatError, match="cut short before its index"):
        watcher.watch(path, 4)


def test_a_header_that_declares_too_little_is_corrected(watcher, write_clip, monkeypatch, sizes):
    path = write_clip(num_frames=20, fps=10)
    monkeypatch.setattr(Capture, "declared_duration_s", 0.5)
    grounds = watcher.watch(path, 4)
    assert grounds.evidence.frame_times_s == pytest.approx([0.2, 0.7, 1.2, 1.7], abs=1e-3)
    assert grounds.evidence.notes == ()


def test_a_header_without_a_duration_costs_a_second_pass_only(watcher, encoder, write_clip, monkeypatch):
    path = write_clip(num_frames=20, fps=10)
    monkeypatch.setattr(Capture, "declared_duration_s", None)
    grounds = watcher.watch(path, 4)
    assert grounds.evidence.frame_times_s == pytest.approx([0.2, 0.7, 1.2, 1.7], abs=1e-3)
    assert encoder.num_frames == 4


def test_raw_pictures_without_any_header_of_odd_size(watcher, tmp_path):
    cv2 = load_cv2()
    pictures = [cv2.imencode(".jpg", np.full((33, 65, 3), value, np.uint8))[1].tobytes() for value in range(0, 200, 10)]
    (tmp_path / "odd.mjpeg").write_bytes(b"".join(pictures))
    evidence = watcher.watch(tmp_path / "odd.mjpeg", 4).evidence
    assert (evidence.frames_used, evidence.frames_captured) == (4, 20)


def test_a_variable_frame_rate_is_sampled_by_time(watcher, tmp_path):
    cv2 = load_cv2()
    if not hasattr(cv2, "imwriteanimation"):
        pytest.skip("this cv2 cannot write an animation")
    animation = cv2.Animation()
    animation.frames = [np.full((20, 30, 3), value, np.uint8) for value in range(0, 250, 25)]
    animation.durations = np.array([100] * 5 + [1000] * 5)
    cv2.imwriteanimation(str(tmp_path / "slow.gif"), animation)
    evidence = watcher.watch(tmp_path / "slow.gif", 4).evidence
    assert evidence.frames_captured == 10
    slow = [time_s for time_s in evidence.frame_times_s if time_s >= 0.5]
    assert len(slow) >= len(evidence.frame_times_s) - 1  # nine tenths of the time lie in the slow half of the frames


@pytest.mark.parametrize(("width", "height"), [(1, 1), (48, 1080), (2048, 2), (1, 7)])
def test_awkward_sizes(watcher, tmp_path, width, height):
    load_cv2().imwrite(str(tmp_path / "one.png"), np.full((height, width, 3), 77, np.uint8))
    assert watcher.watch(tmp_path / "one.png", 4).evidence.frames_used == 1


def test_8k(watcher, write_clip):
    grounds = watcher.watch(write_clip(num_frames=2, width=7680, height=4320), 4)
    assert grounds.evidence.frames_used == 2


def test_portrait(watcher, write_clip):
    assert watcher.watch(write_clip(width=48, height=96), 4).evidence.frames_used == 4


def test_bad_clips_are_errors_in_words(watcher, tmp_path, write_clip):
    (tmp_path / "notes.mp4").write_text("notes")
    for clip, error, words in [
        (tmp_path / "absent.mp4", SourceNotFoundError, "no such file"),
        (str(tmp_path), SourceFormatError, "directory"),
        (tmp_path / "notes.mp4", SourceFormatError, "not a video"),
        (write_clip("empty.avi", num_frames=0), SourceFormatError, "no frame"),
        ("rtsp://host/stream", OptionsError, "live source"),
        (3, OptionsError, "Model.open"),
        (b"clip.mp4", OptionsError, "not a clip"),
        ("", OptionsError, "not the path"),
        ([], SourceFormatError, "no frame"),
        ([np.zeros((2, 2), np.uint8)], SourceFormatError, "uint8"),
    ]:
        with pytest.raises(error, match=words):
            watcher.watch(clip, 4)


def test_all_frames_damaged(watcher, write_clip, monkeypatch):
    monkeypatch.setattr(Capture, "retrieve", lambda self: None)
    with pytest.raises(SourceFormatError, match="no frame that can be read"):
        watcher.watch(write_clip(), 4)


def test_damaged_frames_are_replaced_by_their_neighbours_and_noted(watcher, write_clip, monkeypatch):
    retrieve, calls = Capture.retrieve, []
    monkeypatch.setattr(Capture, "retrieve", lambda self: calls.append(1) or (retrieve(self) if len(calls) != 2 else None))
    evidence = watcher.watch(write_clip(num_frames=20, fps=10), 4).evidence
    assert evidence.frame_times_s == pytest.approx([0.2, 0.8, 1.2, 1.7], abs=1e-3)
    assert evidence.notes == ("1 damaged frame was passed over",)


def test_frames_of_a_program_are_sampled_like_a_file(watcher, sizes):
    grounds = watcher.watch((np.full((5, 7, 3), 10 * index, np.uint8) for index in range(20)), 4)
    assert grounds.evidence.frames_used == 4
    assert grounds.evidence.frames_captured == 20
    assert grounds.evidence.frame_times_s is None
    values = brightness(grounds, sizes)
    assert list(values) == sorted(values)
    assert values[-1] - values[0] >= 100


def test_an_array_of_frames(watcher):
    assert watcher.watch(np.zeros((3, 8, 8, 3), np.uint8), 4).evidence.frames_used == 3


def test_an_encoder_that_fails_ends_the_decoder(watcher, encoder, write_clip):
    import threading

    encoder.error = RuntimeError("out of memory")
    with pytest.raises(RuntimeError, match="out of memory"):
        watcher.watch(write_clip(num_frames=30), 4)
    assert not [thread for thread in threading.enumerate() if thread.name == "redvillm-decode"]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_the_bytes_there_is_an_answer_or_an_error_in_words(watcher, tmp_path, write_clip, data):
    whole = bytearray(write_clip("whole.avi", num_frames=6, width=32, height=16).read_bytes())
    for _ in range(data.draw(st.integers(0, 6))):
        start = data.draw(st.integers(0, len(whole) - 1))
        junk = data.draw(st.binary(max_size=40))
        whole[start : start + len(junk)] = junk
    path = tmp_path / "fuzzed.avi"
    path.write_bytes(bytes(whole[: data.draw(st.integers(0, len(whole)))]))
    try:
        grounds = watcher.watch(path, 4)
    except SourceError as error:
        assert str(path) in str(error)
    else:
        assert 1 <= grounds.evidence.frames_used <= 4


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    junk=st.binary(max_size=400),
    head=st.sampled_from([b"", b"RIFF", b"\x1aE\xdf\xa3", b"GIF89a", b"\x00\x00\x00\x18ftypmp42", b"\xff\xd8\xff", b"#EXTM3U\n"]),
)
def test_random_bytes_are_no_clip(watcher, tmp_path, junk, head):
    path = tmp_path / "junk.mp4"
    path.write_bytes(head + junk)
    try:
        watcher.watch(path, 4)
    except SourceError as error:
        assert str(path) in str(error)


def test_a_cut_is_told_from_rounding():
    def extent(duration_s, declared_s):
        return ClipExtent(num_frames=9, num_damaged=0, last_frame_s=0.0, duration_s=duration_s, declared_duration_s=declared_s)

    assert extent(3.0, 6.0).is_cut_short()
    assert not extent(5.9, 6.0).is_cut_short()
    assert not extent(0.1, 0.3).is_cut_short()
    assert not extent(7.0, 6.0).is_cut_short()
    assert not extent(7.0, None).is_cut_short()
    assert plan_was_wrong(None, extent(1, 1), 4)
    assert not plan_was_wrong(1.0, extent(1.1, 1), 4)
    assert plan_was_wrong(0.5, extent(1.0, 0.5), 4)


def test_a_pass_without_a_plan_only_measures(write_clip, sizes, monkeypatch):
    from redvillm.runtime.timings import Stopwatch

    monkeypatch.setattr(Capture, "declared_duration_s", None)
    one = ClipPass(write_clip(num_frames=7), num_frames=4, fit=sizes.fit, plan_duration_s=None, stopwatch=Stopwatch())
    assert list(one) == []
    assert one.extent.num_frames == 7
