"""The feature store: the same after an interruption, and refused for other data."""

import numpy as np
import pytest

from redvillm.errors import OptionsError
from redvillm.training.features import ClipRecord, FeatureStore, PlannedClip, fill_store


def plan(num_clips, num_frames=3):
    def clip(number):
        record = ClipRecord("photo", f"{number}.jpg", "train", "", num_frames)
        return PlannedClip(record, lambda: np.full((num_frames, 2, 2, 3), number % 251, np.uint8))

    return [clip(number) for number in range(num_clips)]


def encode(pixels):
    return np.repeat(pixels.reshape(len(pixels), 4, 3)[..., :1], 5, axis=-1).astype(np.float32)


def test_an_interrupted_store_goes_on_where_it_stopped(tmp_path):
    calls = []

    def failing(pixels):
        calls.append(len(pixels))
        if len(calls) == 300:
            raise KeyboardInterrupt
        return encode(pixels)

    with pytest.raises(KeyboardInterrupt):
        fill_store(tmp_path / "store", plan(400), failing, (4, 5))
    with pytest.raises(OptionsError, match="holds no features"):
        FeatureStore(tmp_path / "store")
    resumed = []
    store = fill_store(tmp_path / "store", plan(400), lambda pixels: resumed.append(1) or encode(pixels), (4, 5))
    assert 0 < len(resumed) < 400
    assert len(store) == 400
    for index in (0, 255, 256, 399):
        np.testing.assert_array_equal(store[index], np.full((3, 4, 5), index % 251, np.float16))
    assert store.select("train", "photo") == list(range(400))


def test_a_full_store_is_not_encoded_again(tmp_path):
    fill_store(tmp_path, plan(3), encode, (4, 5))

    def never(pixels):
        raise AssertionError

    assert len(fill_store(tmp_path, plan(3), never, (4, 5))) == 3


def test_a_part_of_other_data_is_refused(tmp_path):
    def failing(pixels):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fill_store(tmp_path, plan(300), failing, (4, 5))
    (tmp_path / "num_done.txt").write_text("0")
    with pytest.raises(OptionsError, match="other data"):
        fill_store(tmp_path, plan(301), encode, (4, 5))
