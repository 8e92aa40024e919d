"""Which source a word means, and every way in which a source is not one."""

import contextlib
import itertools
import os
import socket
import threading
import time

import numpy as np
import pytest

from redvillm.errors import OptionsError, SourceFormatError, SourceLostError, SourceNotFoundError
from redvillm.runtime import source_camera
from redvillm.runtime.source import SourceLimits, make_source
from redvillm.runtime.source_address import AddressSource, without_password
from redvillm.runtime.source_camera import CameraSource
from redvillm.runtime.source_file import FileSource
from redvillm.runtime.source_iterator import IteratorSource

LIMITS = SourceLimits(open_timeout_s=1.0, read_timeout_s=1.0)


@pytest.mark.parametrize(
    ("spec", "kind"),
    [
        (0, CameraSource),
        ("0", CameraSource),
        ("/dev/video7", CameraSource),
        ("rtsp://host/stream", AddressSource),
        ("HTTP://host/a.mp4", AddressSource),
        ("clip.mp4", FileSource),
        ("/tmp/clip.mp4", FileSource),
        ([np.zeros((2, 2, 3), np.uint8)], IteratorSource),
    ],
)
def test_a_word_means_a_kind_of_source(spec, kind):
    assert isinstance(make_source(spec, LIMITS), kind)


@pytest.mark.parametrize("spec", [None, True, 1.5, "", "a\0b", b"bytes-path\xff", object()])
def test_what_is_no_source_is_refused_in_words(spec):
    with pytest.raises((OptionsError, SourceFormatError), match="give"):
        source = make_source(spec, LIMITS)
        source.open()
        source.grab()


@pytest.mark.parametrize("limit", [0, -1, float("nan"), 1e9])
def test_time_limits_are_checked(limit):
    with pytest.raises(OptionsError, match="open_timeout_s"):
        SourceLimits(open_timeout_s=limit)


def test_no_such_file(tmp_path):
    with pytest.raises(SourceNotFoundError, match="no such file"):
        make_source(tmp_path / "absent.mp4", LIMITS).open()


def test_below_a_file_there_is_no_file(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(SourceNotFoundError, match="no such file"):
        make_source(tmp_path / "file" / "clip.mp4", LIMITS).open()


def test_a_name_that_is_too_long():
    with pytest.raises(SourceNotFoundError, match="cannot be read"):
        make_source("x" * 5000, LIMITS).open()


def test_a_directory(tmp_path):
    with pytest.raises(SourceFormatError, match="is a directory"):
        make_source(tmp_path, LIMITS).open()


def test_an_empty_file(tmp_path):
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(SourceFormatError, match="0 bytes"):
        make_source(tmp_path / "empty.mp4", LIMITS).open()


def test_a_pipe_is_refused_and_never_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(SourceFormatError, match="not a regular file"):
        make_source(tmp_path / "pipe.mp4", LIMITS).open()


def test_not_a_video(tmp_path):
    (tmp_path / "notes.mp4").write_text("these are notes\n" * 100)
    with pytest.raises(SourceFormatError, match="not a video"):
        make_source(tmp_path / "notes.mp4", LIMITS).open()


def test_zero_frames(write_clip):
    source = make_source(write_clip(num_frames=0), LIMITS)
    source.open()
    with pytest.raises(SourceFormatError, match="no frame"):
        source.grab()
    source.close()


def test_a_file_gives_its_frames_once_with_their_times(write_clip):
    source = make_source(write_clip(num_frames=5, fps=10), LIMITS)
    source.open()
    marks, values = [], []
    while (mark := source.grab()) is not None:
        marks.append(mark.clip_time_s)
        values.append(float(source.retrieve().pixels.mean()))
    source.close()
    assert marks == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4], abs=1e-3)
    assert values == pytest.approx([20, 28, 36, 44, 52], abs=3)  # MJPG is lossy


def test_a_looping_file_goes_on_with_advancing_times(write_clip):
    source = make_source(write_clip(num_frames=3, fps=10), SourceLimits(loop=True))
    source.open()
    marks = [source.grab().clip_time_s for _ in range(8)]
    source.close()
    assert marks == pytest.approx([index / 10 for index in range(8)], abs=1e-3)


def test_a_numbered_picture_does_not_pull_in_its_neighbours(tmp_path):
    from redvillm.runtime.opencv import load_cv2

    for index in range(3):
        load_cv2().imwrite(str(tmp_path / f"a{index}.png"), np.full((9, 7, 3), index, np.uint8))
    source = make_source(tmp_path / "a0.png", LIMITS)
    source.open()
    assert source.grab() is not None
    assert source.retrieve().pixels.shape == (9, 7, 3)
    assert source.grab() is None
    source.close()


@pytest.mark.parametrize("camera", [98, "/dev/video98"])
def test_an_absent_camera_says_which_are_there(camera):
    with pytest.raises(SourceNotFoundError, match=r"cannot be opened.*Cameras of this machine"):
        make_source(camera, LIMITS).open()


@pytest.mark.parametrize("index", [-1, 100, 1 << 70])
def test_a_camera_index_that_cannot_be_is_refused(index):  # OpenCV crashes on -1
    with pytest.raises(OptionsError, match="give 0 to 99"):
        make_source(index, LIMITS)


@pytest.mark.parametrize(("camera", "target"), [(3, 3), ("/dev/video7", 7), ("/dev/video-of-the-door", "/dev/video-of-the-door")])
def test_a_device_path_is_opened_as_a_camera_and_not_as_a_file(camera, target, monkeypatch):
    targets = []

    class Recorder:
        is_open = True

        def __init__(self, target, **limits):
            targets.append(target)

        def close(self):
            pass

    monkeypatch.setattr(source_camera, "Capture", Recorder)
    source = CameraSource(camera, LIMITS)
    source.open()
    source.close()
    assert targets == [target]


def test_a_file_that_was_cut_short_says_so_at_its_end(tmp_path, write_clip):
    whole = write_clip(num_frames=40, fps=10, noise=True)
    source = make_source(whole, LIMITS)
    source.open()
    while source.grab() is not None:
        pass
    assert source.ending == "came to its end"
    (tmp_path / "cut.avi").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    source = make_source(tmp_path / "cut.avi", LIMITS)
    source.open()
    while source.grab() is not None:
        pass
    assert "of 4.0 s declared" in source.ending
    source.close()


def test_a_clip_behind_an_address_that_breaks_off_is_lost(write_clip):
    content = write_clip(num_frames=40, fps=10, noise=True).read_bytes()
    head = b"HTTP/1.0 200 OK\r\nContent-Type: video/x-msvideo\r\nContent-Length: %d\r\n\r\n" % len(content)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    with connection:
                        connection.recv(4096)
                        connection.sendall(head + content[: len(content) // 2])

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        source = make_source(f"http://127.0.0.1:{server.getsockname()[1]}/clip.avi", LIMITS)
        source.open()
        with pytest.raises(SourceLostError, match="broke off"):
            while source.grab() is not None:
                pass
        assert not source.can_return
        source.close()
        server.shutdown(socket.SHUT_RDWR)  # wakes accept
        thread.join(5)


def test_an_unreachable_address_is_bounded_and_hides_its_password():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: refused at once
        address = f"rtsp://user:secret@127.0.0.1:{taken.getsockname()[1]}/stream"
        with pytest.raises(SourceNotFoundError, match="gives no video") as caught:
            make_source(address, LIMITS).open()
    assert "secret" not in str(caught.value)


def test_a_server_that_never_speaks_is_bounded():
    with socket.create_server(("127.0.0.1", 0)) as server:
        start_s = time.perf_counter()
        with pytest.raises(SourceNotFoundError, match="within 1 s"):
            make_source(f"http://127.0.0.1:{server.getsockname()[1]}/x.mjpeg", LIMITS).open()
        assert time.perf_counter() - start_s < 30  # it ends at all; the limit itself is OpenCV's


def test_an_http_stream_that_stops_in_the_middle_is_lost(tmp_path):
    from redvillm.runtime.opencv import load_cv2

    _ok, jpeg = load_cv2().imencode(".jpg", np.full((33, 65, 3), 99, np.uint8))
    part = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: " + str(len(jpeg)).encode() + b"\r\n\r\n" + jpeg.tobytes() + b"\r\n"
    head = b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=frame\r\n\r\n"
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(head + part * 12)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        source = make_source(f"http://127.0.0.1:{server.getsockname()[1]}/cam", LIMITS)
        source.open()
        shapes = set()
        with pytest.raises(SourceLostError, match="no more frames"):
            while source.grab() is not None:
                shapes.add(source.retrieve().pixels.shape)
        source.close()
        thread.join(5)
    assert shapes == {(33, 65, 3)}  # odd width and height survive


def test_passwords_are_starred():
    assert without_password("rtsp://me:pa:ss@host:554/a@b") == "rtsp://me:***@host:554/a@b"
    assert without_password("http://host/a:b@c") == "http://host/a:b@c"


def test_an_iterator_gives_copies_of_its_frames():
    buffer = np.zeros((3, 5, 3), np.uint8)
    source = make_source(iter([buffer]), LIMITS)
    source.open()
    source.grab()
    frame = source.retrieve()
    buffer[:] = 9
    assert frame.pixels.max() == 0
    assert not frame.is_bgr
    assert source.grab() is None


@pytest.mark.parametrize("value", ["frame", np.zeros((2, 2), np.uint8), np.zeros((2, 2, 3), np.float32), np.zeros((0, 2, 3), np.uint8), None])
def test_a_wrong_frame_of_an_iterator_is_named(value):
    source = make_source([value], LIMITS)
    source.open()
    with pytest.raises(SourceFormatError, match="uint8"):
        source.grab()


def test_an_iterator_that_raises_is_lost():
    def frames():
        yield np.zeros((2, 2, 3), np.uint8)
        raise OSError("the link went down")

    source = make_source(frames(), LIMITS)
    source.open()
    source.grab()
    with pytest.raises(SourceLostError, match="the link went down"):
        source.grab()


def test_sources_do_nothing_before_they_are_opened():
    for spec in ("clip.mp4", itertools.repeat(0)):
        source = make_source(spec, LIMITS)
        assert source.grab() is None
        assert source.retrieve() is None
        source.close()
    with pytest.raises(SourceLostError):
        make_source(3, LIMITS).grab()
