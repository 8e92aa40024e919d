"""Frames as the vision encoder takes them, against plain numpy and against the image processors of Image LLMs."""

import sys

import numpy as np
import pytest

from redvillm.errors import BackendError
from redvillm.manifest import FitSpec
from redvillm.runtime.frame import Frame
from redvillm.runtime.preprocess import check_filter, fit_frame


@pytest.mark.parametrize(("height", "width"), [(1, 1), (16, 16), (32, 64), (33, 65), (1, 500), (500, 1), (4320, 7680)])
def test_any_size_becomes_the_square(height, width):
    small = fit_frame(Frame(np.full((height, width, 3), (10, 20, 30), np.uint8), 0.0), FitSpec.square(16))
    assert small.shape == (16, 16, 3)
    assert small.dtype == np.uint8
    assert small.flags.c_contiguous
    assert (small == (10, 20, 30)).all()


# a byte is rounded once a step: halvings, then what is left
@pytest.mark.parametrize(("size", "down", "across", "num_steps"), [(15, 3, 5, 1), (15, 1, 7, 1), (16, 1, 33, 1), (16, 2, 2, 2), (16, 4, 8, 3)])
def test_shrinking_by_a_whole_factor_is_the_mean_of_the_blocks(size, down, across, num_steps):
    pixels = np.random.default_rng(0).integers(0, 256, (size * down, size * across, 3), dtype=np.uint8)
    want = pixels.reshape(size, down, size, across, 3).mean(axis=(1, 3))
    got = fit_frame(Frame(pixels, 0.0), FitSpec.square(size))
    assert got.flags.c_contiguous
    assert np.abs(got - want).max() <= 0.5 * num_steps + 1e-4


@pytest.mark.parametrize(("height", "width"), [(72, 128), (90, 62), (37, 53), (135, 240)])
def test_large_frames_are_squashed_as_by_areas(height, width):
    """Against exact areas in float64; a pair of pixels across a border is shared as one, which on smooth pictures is a few steps of a byte."""
    y, x = np.mgrid[:height, :width]
    pixels = np.stack([127 + 100 * np.sin(x / width * 9), 127 + 100 * np.cos(y / height * 7), (x + y) % 256], -1).astype(np.uint8)
    want = areas(height) @ pixels.astype(np.float64).transpose(2, 0, 1) @ areas(width).T
    error = fit_frame(Frame(pixels, 0.0), FitSpec.square(16))[..., :2] - want.transpose(1, 2, 0)[..., :2]
    assert np.abs(error).max() <= 4
    assert np.abs(error).mean() <= 1


def areas(length, size=16):
    """[size, length]: how much of each pixel lies in each of `size` equal parts."""
    edges = np.arange(size + 1) * length / size
    overlap = np.minimum(edges[1:, None], np.arange(1, length + 1)) - np.maximum(edges[:-1, None], np.arange(length))
    return np.clip(overlap, 0, None) * size / length


def test_blue_green_red_is_turned():
    pixels = np.full((8, 8, 3), (1, 2, 3), np.uint8)
    assert (fit_frame(Frame(pixels, 0.0, is_bgr=True), FitSpec.square(4)) == (3, 2, 1)).all()


def test_the_frame_itself_is_not_changed():
    pixels = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    before = pixels.copy()
    fit_frame(Frame(pixels, 0.0, is_bgr=True), FitSpec.square(4))
    assert (pixels == before).all()


def picture(height, width):
    """Smooth colours with fine noise: what filters treat differently."""
    y, x = np.mgrid[:height, :width]
    smooth = np.stack([127 + 90 * np.sin(x / width * 9), 127 + 90 * np.cos(y / height * 7), (x + y) * 255 / (height + width)], -1)
    return np.clip(smooth + np.random.default_rng(1).normal(0, 12, smooth.shape), 0, 255).astype(np.uint8)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (97, 31), (31, 97), (64, 64), (40, 211), (300, 7)])
@pytest.mark.parametrize("filter_name", ["bilinear", "bicubic", "lanczos"])
def test_frames_are_stretched_as_by_the_processor_of_siglip(height, width, filter_name):
    image, transformers = pytest.importorskip("PIL.Image"), pytest.importorskip("transformers")
    processor = transformers.SiglipImageProcessorPil(
        size={"height": 24, "width": 40}, resample=image.Resampling[filter_name.upper()], do_rescale=False, do_normalize=False
    )
    pixels = picture(height, width)
    want = processor(pixels, input_data_format="channels_last", return_tensors="np")["pixel_values"][0].transpose(1, 2, 0)
    got = fit_frame(Frame(pixels[..., ::-1].copy(), 0.0, is_bgr=True), FitSpec(height=24, width=40, fit="squash", filter=filter_name))
    assert got.dtype == np.uint8
    assert (got == want).all()


@pytest.mark.parametrize(("height", "width"), [(48, 48), (97, 61), (61, 97), (480, 641), (35, 35), (31, 300)])
@pytest.mark.parametrize("shorter_side", [24, 31])
def test_frames_are_cropped_as_by_the_processor_of_clip(height, width, shorter_side):
    transformers = pytest.importorskip("transformers")
    processor = transformers.CLIPImageProcessorPil(
        size={"shortest_edge": shorter_side}, crop_size={"height": 24, "width": 24}, do_rescale=False, do_normalize=False
    )
    pixels = picture(height, width)
    want = processor(pixels, input_data_format="channels_last", return_tensors="np")["pixel_values"][0].transpose(1, 2, 0)
    got = fit_frame(Frame(pixels, 0.0), FitSpec(height=24, width=24, fit="crop", filter="bicubic", shorter_side=shorter_side))
    assert (got == want).all()


def test_a_missing_pillow_is_an_error_in_words(monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    check_filter(FitSpec.square(8))
    with pytest.raises(BackendError, match="pip install pillow"):
        check_filter(FitSpec(height=8, width=8, fit="squash", filter="bicubic"))
