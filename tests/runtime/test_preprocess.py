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


# a byte is rounded once a step: halvings, then what is left
@pytest.mark.parametrize(("size", "down", "across", "num_steps"), [(15, 3, 5, 1), (15, 1, 7, 1), (16, 1, 33, 1), (16, 2, 2, 2), (16, 4, 8, 3)])
def test_shrinking_by_a_whole_factor_is_the_mean_of_the_blocks(size, down, across, num_steps):
    pixels = np.random.default_rng(0).integers(0, 256, (size * down, size * across, 3), dtype=np.uint8)
    want = pixels.reshape(size, down, size, across, 3).mean(axis=(1, 3))
    got = squash(Frame(pixels, 0.0), size)
    assert got.flags.c_contiguous
    assert np.abs(got - want).max() <= 0.5 * num_steps + 1e-4


@pytest.mark.parametrize(("height", "width"), [(72, 128), (90, 62), (37, 53), (135, 240)])
def test_large_frames_are_squashed_as_by_areas(height, width):
    """Against exact areas in float64; a pair of pixels across a border is shared as one, which on smooth pictures is a few steps of a byte."""
    y, x = np.mgrid[:height, :width]
    pixels = np.stack([127 + 100 * np.sin(x / width * 9), 127 + 100 * np.cos(y / height * 7), (x + y) % 256], -1).astype(np.uint8)
    want = areas(height) @ pixels.astype(np.float64).transpose(2, 0, 1) @ areas(width).T
    error = squash(Frame(pixels, 0.0), 16)[..., :2] - want.transpose(1, 2, 0)[..., :2]
    assert np.abs(error).max() <= 4
    assert np.abs(error).mean() <= 1


def areas(length, size=16):
    """[size, length]: how much of each pixel lies in each of `size` equal parts."""
    edges = np.arange(size + 1) * length / size
    overlap = np.minimum(edges[1:, None], np.arange(1, length + 1)) - np.maximum(edges[:-1, None], np.arange(length))
    return np.clip(overlap, 0, None) * size / length


def test_blue_green_red_is_turned():
    pixels = np.full((8, 8, 3), (1, 2, 3), np.uint8)
    assert (squash(Frame(pixels, 0.0, is_bgr=True), 4) == (3, 2, 1)).all()


def test_the_frame_itself_is_not_changed():
    pixels = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    before = pixels.copy()
    squash(Frame(pixels, 0.0, is_bgr=True), 4)
    assert (pixels == before).all()
