"""Squashing frames, against plain numpy where numpy can say it."""

import numpy as np
import pytest

from redvillm.runtime.frame import Frame
from redvillm.runtime.preprocess import squash


@pytest.mark.parametrize(("height", "width"), [(1, 1), (16, 16), (32, 64), (33, 65), (1, 500), (500, 1), (4320, 7680)])
def test_any_size_becomes_the_square(height, width):
    small = squash(Frame(np.full((height, width, 3), (10, 20, 30), np.uint8), 0.0), 16)
    assert small.shape == (16, 16, 3)
    assert small.dtype == np.uint8
    assert small.flags.c_contiguous
    assert (small == (10, 20, 30)).all()


def test_shrinking_by_a_whole_factor_is_the_mean_of_the_blocks():
    pixels = np.random.default_rng(0).integers(0, 256, (48, 32, 3), dtype=np.uint8)
    want = pixels.reshape(16, 3, 16, 2, 3).mean(axis=(1, 3))
    got = squash(Frame(pixels, 0.0), 16)
    assert np.abs(got - want).max() <= 0.5 + 1e-6  # rounding to a byte


def test_blue_green_red_is_turned():
    pixels = np.full((8, 8, 3), (1, 2, 3), np.uint8)
    assert (squash(Frame(pixels, 0.0, is_bgr=True), 4) == (3, 2, 1)).all()


def test_the_frame_itself_is_not_changed():
    pixels = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    before = pixels.copy()
    squash(Frame(pixels, 0.0, is_bgr=True), 4)
    assert (pixels == before).all()
