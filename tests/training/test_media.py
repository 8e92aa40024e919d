"""Frames of files: at most so many, evenly spaced, in order. Every frame tells its number by eight stripes, bright for a one, dark for a zero."""

import cv2
import numpy as np
import pytest

from redvillm.errors import OptionsError
from redvillm.training.media import read_media

BITS = 2 ** np.arange(8)


def write_video(path, num_frames, codec="MJPG"):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), 10, (64, 48))
    assert writer.isOpened()
    for number in range(num_frames):
        stripes = np.where(number & BITS, 230, 20).astype(np.uint8)
        writer.write(np.ascontiguousarray(np.broadcast_to(stripes.repeat(8)[None, :, None], (48, 64, 3))))
    writer.release()
    return path


def numbers_of(frames):
    """Return the number of every frame of a size that eight divides."""
    stripes = frames.astype(float).mean((1, 3)).reshape(len(frames), 8, -1).mean(-1)
    assert np.all((stripes < 90) | (stripes > 160))
    return ((stripes > 125) @ BITS).tolist()


@pytest.mark.parametrize("num_frames", [1, 2, 3, 7, 8])
def test_all_frames_of_a_short_video_are_taken(tmp_path, num_frames):
    path = write_video(tmp_path / "short.avi", num_frames)
    frames = read_media(path, is_video=True, size=24, max_frames=8)
    assert frames.shape == (num_frames, 24, 24, 3)
    assert frames.dtype == np.uint8
    assert numbers_of(frames) == list(range(num_frames))


@pytest.mark.parametrize(
    ("num_frames", "max_frames"), [(9, 8), (13, 8), (15, 8), (16, 8), (17, 8), (31, 8), (97, 8), (97, 7), (29, 2), (53, 5), (64, 32)]
)
def test_a_long_video_is_thinned_out_evenly(tmp_path, num_frames, max_frames):
    frames = read_media(write_video(tmp_path / "long.avi", num_frames), is_video=True, size=16, max_frames=max_frames)
    numbers = numbers_of(frames)
    assert len(numbers) == max_frames
    assert numbers[0] == 0
    gaps = np.diff(numbers)
    assert gaps.min() >= 1
    assert gaps.max() <= 2 * gaps.min()
    # the last frame is at most one gap from the end, and no frame further than that from its ideal place
    ideal = np.linspace(0, num_frames - 1, max_frames)
    assert np.abs(numbers - ideal).max() <= (num_frames - 1) / (max_frames - 1)


@pytest.mark.parametrize("num_frames", [1, 2, 11])
def test_one_frame_is_the_first(tmp_path, num_frames):
    frames = read_media(write_video(tmp_path / "video.avi", num_frames), is_video=True, size=8, max_frames=1)
    assert frames.shape == (1, 8, 8, 3)
    assert numbers_of(frames) == [0]


def test_mp4_is_read_too(tmp_path):
    path = write_video(tmp_path / "video.mp4", 23, codec="mp4v")
    numbers = numbers_of(read_media(path, is_video=True, size=16, max_frames=4))
    assert len(numbers) == 4
    assert numbers == sorted(set(numbers))
    assert numbers[0] == 0
    assert numbers[-1] >= 23 - 23 // 4 - 1


def test_channels_are_red_green_blue(tmp_path):
    path = tmp_path / "video.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (32, 32))
    writer.write(np.full((32, 32, 3), (20, 60, 220), np.uint8))  # blue first
    writer.release()
    (frame,) = read_media(path, is_video=True, size=8, max_frames=4)
    np.testing.assert_allclose(frame.mean((0, 1)), (220, 60, 20), atol=6)


def test_a_video_cut_short_gives_what_can_be_read(tmp_path):
    path = write_video(tmp_path / "video.avi", 100)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 3 // 4])
    frames = read_media(path, is_video=True, size=8, max_frames=256)
    assert 50 < len(frames) < 90
    assert numbers_of(frames[:-1]) == list(range(len(frames) - 1))  # half of the last one may be lost


def test_an_image_is_one_frame(tmp_path):
    cv2.imwrite(str(tmp_path / "photo.png"), np.full((30, 50, 3), (1, 2, 3), np.uint8))
    frames = read_media(tmp_path / "photo.png", is_video=False, size=12, max_frames=1)
    np.testing.assert_array_equal(frames, np.full((1, 12, 12, 3), (3, 2, 1)))


@pytest.mark.parametrize("data", [b"", b"not a video at all" * 50])
@pytest.mark.parametrize("is_video", [True, False])
def test_a_broken_file_is_named(tmp_path, data, is_video):
    (tmp_path / "broken.mp4").write_bytes(data)
    with pytest.raises(OptionsError, match=r"broken\.mp4"):
        read_media(tmp_path / "broken.mp4", is_video=is_video, size=8, max_frames=4)


@pytest.mark.parametrize("is_video", [True, False])
def test_a_missing_file_is_named(tmp_path, is_video):
    with pytest.raises(OptionsError, match=r"nothing\.avi"):
        read_media(tmp_path / "nothing.avi", is_video=is_video, size=8, max_frames=4)
