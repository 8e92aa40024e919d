"""The feature store: the same after an interruption, grown when media are added, read again when a file has changed."""

import numpy as np
import pytest

from redvillm.errors import OptionsError
from redvillm.training.features import Medium, fill_store

SHAPE = (4, 5)


@pytest.fixture
def media(tmp_path):
    """Media of 1 to 3 frames; the first byte of a file is its brightness."""
    made = [Medium(tmp_path / f"{number:04d}.bin", number % 3 != 0) for number in range(1300)]
    for number, medium in enumerate(made):
        medium.path.write_bytes(bytes([number % 251]))
    return made


def read(medium):
    number = int(medium.path.stem)
    return np.full((1 + number % 3, 2, 2, 3), medium.path.read_bytes()[0], np.uint8)


def encode(pixels):
    return np.repeat(pixels.reshape(len(pixels), 4, 3)[..., :1], 5, axis=-1).astype(np.float32)


def check(store, media, number):
    np.testing.assert_array_equal(store[media[number]], np.full((1 + number % 3, *SHAPE), number % 251, np.float16))


def never(pixels):
    raise AssertionError


def test_an_interrupted_store_goes_on_where_it_stopped(media, tmp_path):
    frames_seen = []

    def failing(pixels):
        frames_seen.append(len(pixels))
        if len(frames_seen) == 60:
            raise KeyboardInterrupt
        return encode(pixels)

    with pytest.raises(KeyboardInterrupt):
        fill_store(tmp_path / "store", media, read, failing, SHAPE)
    resumed = []

    def counting(pixels):
        resumed.append(len(pixels))
        return encode(pixels)

    store = fill_store(tmp_path / "store", media, read, counting, SHAPE)
    assert 0 < sum(resumed) < sum(1 + number % 3 for number in range(1300))
    for number in (0, 511, 512, 958, 959, 1299):
        check(store, media, number)


def test_a_full_store_is_not_encoded_again(media, tmp_path):
    fill_store(tmp_path / "store", media[:7], read, encode, SHAPE)
    check(fill_store(tmp_path / "store", media[:7], read, never, SHAPE), media, 6)


def test_a_store_grows_and_keeps_what_is_no_longer_asked_for(media, tmp_path):
    fill_store(tmp_path / "store", media[:5], read, encode, SHAPE)
    grown = fill_store(tmp_path / "store", media[3:40], read, encode, SHAPE)
    for number in (0, 3, 4, 5, 39):
        check(grown, media, number)
    assert fill_store(tmp_path / "store", media[:40], read, never, SHAPE)[media[1]].shape == (2, *SHAPE)


def test_a_changed_file_is_encoded_again(media, tmp_path):
    fill_store(tmp_path / "store", media[:9], read, encode, SHAPE)
    media[2].path.write_bytes(bytes([99, 99]))
    store = fill_store(tmp_path / "store", media[:9], read, encode, SHAPE)
    assert float(store[media[2]].max()) == 99
    check(store, media, 8)


def test_one_file_may_be_an_image_and_a_video(tmp_path):
    path = tmp_path / "0002.gif"
    path.write_bytes(bytes([7]))
    image, video = Medium(path, False), Medium(path, True)

    def read_either(medium):
        return np.full((3 if medium.is_video else 1, 2, 2, 3), 7, np.uint8)

    fill_store(tmp_path / "store", [image], read_either, encode, SHAPE)
    store = fill_store(tmp_path / "store", [image, video], read_either, encode, SHAPE)
    assert (len(store[image]), len(store[video])) == (1, 3)


def test_what_cannot_be_read_is_told(media, tmp_path):
    with pytest.raises(OptionsError, match=r"absent\.jpg cannot be read"):
        fill_store(tmp_path / "store", [Medium(tmp_path / "absent.jpg", False)], read, encode, SHAPE)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "index.json").write_text('[["a", 1]]')
    with pytest.raises(OptionsError, match="remove"):
        fill_store(tmp_path / "broken", media[:2], read, encode, SHAPE)
