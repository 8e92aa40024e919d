"""Frames made from photos: a moving patch moves where its label says."""

import cv2
import numpy as np
import pytest

from redvillm.errors import OptionsError
from redvillm.training.views import DIRECTIONS, Sprite, pan_views, read_pixels, sprite_clip


def photo(seed, size=64):
    return cv2.GaussianBlur(np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8), (9, 9), 3)


@pytest.mark.parametrize("direction", [*DIRECTIONS, ""])
def test_the_patch_moves_in_its_direction(direction):
    black, white = np.zeros((64, 64, 3), np.uint8), np.full((64, 64, 3), 255, np.uint8)
    for seed in range(5):
        frames = sprite_clip(black, white, Sprite(direction), np.random.default_rng(seed)).astype(np.float64).mean(-1)
        grid = np.arange(64)
        bright = np.where(frames > 60, frames, 0)
        centres = np.stack([(bright.sum(1) @ grid) / bright.sum((1, 2)), (bright.sum(2) @ grid) / bright.sum((1, 2))], axis=-1)
        travel = centres[-1] - centres[0]
        expected = np.array(DIRECTIONS.get(direction, (0, 0)))
        assert np.all(np.abs(travel[expected == 0]) < 1.5)
        assert np.all(travel[expected != 0] * expected[expected != 0] > 5)


def test_views_are_a_function_of_the_seed():
    first, again = (pan_views(photo(0), 3, np.random.default_rng(7)) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert first.shape == (4, 64, 64, 3)
    assert np.abs(first[1].astype(int) - first[3]).max() > 0


def test_a_broken_image_is_named(tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"not a picture")
    with pytest.raises(OptionsError, match=r"broken\.jpg"):
        read_pixels(tmp_path / "broken.jpg", 8)
