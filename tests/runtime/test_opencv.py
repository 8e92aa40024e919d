"""The door to OpenCV: missing, silent, and times that always advance."""

import itertools
import math
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redvillm.errors import BackendError, SourceNotFoundError
from redvillm.runtime import opencv


def test_a_missing_cv2_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(BackendError, match="pip install opencv-python-headless"):
        opencv.load_cv2()


def test_a_cv2_without_video_is_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", type(sys)("cv2"))
    with pytest.raises(BackendError, match="without video input"):
        opencv.load_cv2()


@pytest.mark.parametrize("name", ["\udcff.avi", "rtsp://user:secret@127.0.0.1:1/\udcff", "\ud800"])
def test_a_name_that_is_not_utf8_is_an_error_and_no_crash(name):
    with pytest.raises(SourceNotFoundError, match="not valid UTF-8") as caught:
        opencv.Capture(name, open_timeout_s=1, read_timeout_s=1)
    assert "secret" not in str(caught.value)


def test_nothing_is_printed_about_bad_input(tmp_path, write_clip):
    whole = write_clip(noise=True).read_bytes()
    (tmp_path / "cut.avi").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.mp4").write_text("not a video")
    script = (
        "import sys; from redvillm.runtime.opencv import Capture\n"
        "for name in sys.argv[1:]:\n"
        "    capture = Capture(int(name) if name.isdecimal() else name, open_timeout_s=1, read_timeout_s=1)\n"
        "    while capture.grab() is not None: capture.retrieve()\n"
        "    capture.close()\n"
    )
    names = [str(tmp_path / "cut.avi"), str(tmp_path / "text.mp4"), str(tmp_path / "absent.mp4"), "99"]
    result = subprocess.run([sys.executable, "-c", script, *names], capture_output=True, text=True, timeout=60, check=True)
    assert (result.stdout, result.stderr) == ("", "")


@given(st.lists(st.one_of(st.floats(), st.just(0.0)), max_size=50), st.floats(0.1, 1000))
def test_frame_times_always_advance(positions_s, frames_per_s):
    clock = opencv._FrameClock(frames_per_s)
    times_s = [clock.tick(position_s) for position_s in positions_s]
    assert all(math.isfinite(time_s) and time_s >= 0 for time_s in times_s)
    assert all(before <= after for before, after in itertools.pairwise(times_s))
