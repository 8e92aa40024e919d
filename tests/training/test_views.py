"""Frames made from photos: what moves, comes closer or appears does so where its label says.

Photos are ramps: red tells the column of a pixel, green its row, so that a crop tells where it was taken; blue tells the photo.
"""

import cv2
import numpy as np
import pytest

from redvillm.errors import OptionsError
from redvillm.manifest import FitSpec
from redvillm.runtime.frame import Frame
from redvillm.runtime.preprocess import fit_frame
from redvillm.training.views import (
    DIRECTIONS,
    Sprite,
    appearing_clip,
    dark_clip,
    other_view,
    pan_views,
    placed_object,
    read_pixels,
    sprite_clip,
    squash,
    still_clip,
    zoom_views,
)

SIZES = [37, 64]
SEEDS = range(12)
MAX_NOISE = 40  # of a level: ten deviations of the strongest noise and flicker


def ramp(size, blue=0):
    """Red 0 at the left to 250 at the right, green 0 at the top to 250 at the bottom."""
    levels = np.rint(np.linspace(0, 250, size)).astype(np.uint8)
    return np.stack([*np.broadcast_arrays(levels[None, :], levels[:, None]), np.full((size, size), blue, np.uint8)], axis=-1)


def noise_photo(seed, size=64):
    return cv2.GaussianBlur(np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8), (9, 9), 3)


def changed(frames, background):
    """Where frames differ from their background [T, H, W], by more than noise."""
    return np.abs(frames.astype(int) - background).max(-1) > MAX_NOISE


def centres(masks):
    """Return (x, y) of the middle of every mask, NaN for an empty one."""
    grid = np.arange(masks.shape[-1])
    area = masks.sum((1, 2)).astype(float)
    area[area == 0] = np.nan
    return np.stack([(masks.sum(1) @ grid) / area, (masks.sum(2) @ grid) / area], axis=-1)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("direction", [*DIRECTIONS, ""])
def test_the_patch_moves_in_its_direction_or_stays(direction, size):
    background = np.full((size, size, 3), 60, np.uint8)
    for seed in SEEDS:
        frames = sprite_clip(background, np.full_like(background, 250), Sprite(direction), np.random.default_rng(seed))
        assert frames.shape == (8, size, size, 3)
        places = centres(changed(frames, background))
        places = places[~np.isnan(places[:, 0])]  # a small patch that comes in over the edge is hardly seen at first
        assert len(places) >= 6
        travel = places[-1] - places[0]
        if direction == "":
            assert np.all(np.ptp(places, axis=0) < 0.5)  # only noise at its rim
            continue
        forwards = np.array(DIRECTIONS[direction])
        sideways = 1 - np.abs(forwards)
        along = places @ forwards
        # a path of an eighth of the picture at least, of which an edge can hide half; two pixels of a path are rounding
        assert along[-1] - along[0] > size / 16
        assert np.all(np.diff(along) > -1)
        # at most 0.15 of the path is drift, and the visible half of the path at least is along
        assert np.abs(travel @ sideways) < 0.3 * (along[-1] - along[0]) + 2


def test_some_patches_come_in_or_go_out_over_an_edge_and_none_when_they_stay():
    background, bright = np.full((64, 64, 3), 60, np.uint8), np.full((64, 64, 3), 250, np.uint8)
    areas = []
    for direction in ("right", ""):
        for seed in range(30):
            area = changed(sprite_clip(background, bright, Sprite(direction), np.random.default_rng(seed)), background).sum((1, 2))
            areas.append(area.min() / area.max())
    moving, still = np.array(areas[:30]), np.array(areas[30:])
    assert 0.1 < np.mean(moving < 0.8) < 0.6
    assert np.all(still > 0.9)


@pytest.mark.parametrize("num_frames", [1, 2, 11])
def test_a_sprite_has_as_many_frames_as_asked_for(num_frames):
    frames = sprite_clip(noise_photo(0), noise_photo(1), Sprite("up", num_frames), np.random.default_rng(0))
    assert frames.shape == (num_frames, 64, 64, 3)
    assert frames.dtype == np.uint8


@pytest.mark.parametrize("size", SIZES)
def test_a_zoom_comes_closer(size):
    for seed in SEEDS:
        views = zoom_views(ramp(size), 8, np.random.default_rng(seed))
        assert views.shape == (8, size, size, 3)
        np.testing.assert_array_equal(views[0], ramp(size))  # the whole photo first
        low, high = views[..., :2].min((1, 2)).astype(int), views[..., :2].max((1, 2)).astype(int)
        assert np.all(np.diff(low, axis=0) >= 0)  # every view lies inside the one before
        assert np.all(np.diff(high, axis=0) <= 0)
        assert np.all(np.diff(high - low, axis=0) < 0)
        assert np.all(low[-1] > 10)  # all four corners have left
        assert np.all(high[-1] < 240)
        shares = (high - low)[-1] / 250
        assert np.all((shares > 0.4) & (shares < 0.73))


@pytest.mark.parametrize("size", SIZES)
def test_a_pan_goes_straight_over_a_photo_at_one_distance(size):
    mirrored = 0
    for seed in SEEDS:
        views = pan_views(ramp(size), 5, np.random.default_rng(seed)).astype(int)
        assert views.shape == (5, size, size, 3)
        assert np.abs(views[0] - views[-1]).max() > 0
        extent = np.ptp(views[..., :2], axis=(1, 2))
        assert np.all(np.ptp(extent, axis=0) <= 250 / size + 1)  # the size of the crop stays, but for one pixel of rounding
        assert np.all((extent > 250 * 0.6) & (extent < 250 * 0.95))
        steps = np.diff(views[..., :2].mean((1, 2)), axis=0)
        assert np.all(np.ptp(steps, axis=0) <= 2.5 * 250 / size)  # equal steps, but for two roundings
        mirrored += bool(views[0, 0, 0, 0] > views[0, 0, -1, 0])
    assert 0 < mirrored < len(SEEDS)


@pytest.mark.parametrize("num_views", [1, 2])
def test_short_pans_and_zooms_have_their_length(num_views):
    for make in (pan_views, zoom_views):
        assert make(noise_photo(0), num_views, np.random.default_rng(0)).shape == (num_views, 64, 64, 3)


@pytest.mark.parametrize("size", SIZES)
def test_another_view_is_a_large_part_of_the_photo_at_its_size(size):
    seen, brightness, mirrored = [], [], 0
    for seed in range(40):
        view = other_view(ramp(size, blue=100), np.random.default_rng(seed)).astype(int)
        assert view.shape == (size, size, 3)
        brightness.append(view[..., 2].mean() / 100)
        assert np.ptp(view[..., 2]) == 0  # the same light everywhere
        seen.append(np.ptp(view[..., 1]) / brightness[-1] / 250)
        mirrored += bool(view[0, 0, 0] > view[0, -1, 0])
        assert view[0, 0, 1] < view[-1, 0, 1]  # never upside down
    assert 0.84 < min(brightness) < max(brightness) < 1.16
    assert 0.65 < min(seen) < max(seen) < 1.02
    assert 10 < mirrored < 30


@pytest.mark.parametrize("size", SIZES)
def test_something_appears_once_and_stays(size):
    background = np.full((size, size, 3), 60, np.uint8)
    starts = set()
    for seed in range(20):
        frames = appearing_clip(background, np.full_like(background, 250), 8, np.random.default_rng(seed))
        assert frames.shape == (8, size, size, 3)
        masks = changed(frames, background)
        area = masks.sum((1, 2))
        start = int(np.argmax(area > 0))
        starts.add(start)
        assert np.all(area[:start] == 0)
        assert np.all(area[start:] > 0.05 * size**2)
        assert np.all(np.ptp(centres(masks[start:]), axis=0) < 0.5)
    assert starts <= {2, 3, 4, 5, 6}  # never in the first two frames, at least two frames with it
    assert len(starts) >= 3


@pytest.mark.parametrize("num_frames", [4, 5])
def test_short_clips_have_frames_without_and_with_the_thing(num_frames):
    background = np.full((37, 37, 3), 60, np.uint8)
    for seed in range(5):
        frames = appearing_clip(background, np.full_like(background, 250), num_frames, np.random.default_rng(seed))
        area = changed(frames, background).sum((1, 2))
        assert area[0] == area[1] == 0 < min(area[-2:])


@pytest.mark.parametrize("share", [0.001, 0.1, 0.4, 1.0])
@pytest.mark.parametrize("size", SIZES)
def test_the_whole_of_an_object_lies_somewhere_on_the_photo(size, share):
    background, other = np.full((size, size, 3), 60, np.uint8), ramp(size, 250)
    corners = set()
    for seed in SEEDS:
        picture = placed_object(background, other, share, np.random.default_rng(seed))
        rows, columns = np.nonzero(picture[..., 2] == 250)
        side = max(1, round(size * share))
        assert len(rows) == side**2
        assert np.ptp(rows) == np.ptp(columns) == side - 1
        assert np.all(picture[picture[..., 2] != 250] == 60)
        patch = picture[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1].astype(int)
        if side > 2:
            assert np.all(patch[:, 0, 0] < 250 / side)  # from the left and the top of the object
            assert np.all(patch[:, -1, 0] > 250 - 250 / side)
            assert np.all(patch[0, :, 1] < 250 / side)
        corners.add((rows.min(), columns.min()))
    assert corners == {(0, 0)} if share == 1 else len(corners) > len(SEEDS) / 2
    assert np.all(background == 60)


@pytest.mark.parametrize(("size", "num_frames"), [(1, 1), (37, 4)])
def test_a_dark_clip_is_dark(size, num_frames):
    levels = []
    for seed in SEEDS:
        frames = dark_clip(size, num_frames, np.random.default_rng(seed))
        assert frames.shape == (num_frames, size, size, 3)
        assert frames.max() <= 12 + MAX_NOISE
        levels.append(frames.mean())
    assert max(levels) < 24
    assert len(set(levels)) > 1


def test_a_still_clip_shows_the_photo_with_noise_that_differs_from_frame_to_frame():
    photo = noise_photo(3)
    for seed in SEEDS:
        frames = still_clip(photo, 7, np.random.default_rng(seed))
        assert frames.shape == (7, 64, 64, 3)
        assert not changed(frames, photo).any()
        assert np.abs(frames.astype(float).mean(0) - photo).mean() < 6
        assert (frames[0] != frames[1]).any()


@pytest.mark.parametrize("size", SIZES)
def test_views_are_a_function_of_the_seed_and_leave_their_photos_alone(size):
    photo, other = ramp(size), ramp(size, 255)
    makers = [
        lambda random: pan_views(photo, 3, random),
        lambda random: zoom_views(photo, 3, random),
        lambda random: other_view(photo, random),
        lambda random: still_clip(photo, 3, random),
        lambda random: dark_clip(size, 3, random),
        lambda random: appearing_clip(photo, other, 4, random),
        lambda random: sprite_clip(photo, other, Sprite("left", 3), random),
    ]
    for make in makers:
        first, again, another = (make(np.random.default_rng(seed)) for seed in (7, 7, 8))
        np.testing.assert_array_equal(first, again)
        assert (first != another).any()
        assert first.dtype == np.uint8
    np.testing.assert_array_equal(photo, ramp(size))
    np.testing.assert_array_equal(other, ramp(size, 255))


@pytest.mark.parametrize("shape", [(1, 1), (40, 30), (7, 91), (16, 16)])
def test_a_photo_is_squashed_to_a_square_in_red_green_blue(tmp_path, shape):
    path = tmp_path / "photo.png"
    cv2.imwrite(str(path), np.full((*shape, 3), (10, 20, 200), np.uint8))  # OpenCV writes blue first
    np.testing.assert_array_equal(read_pixels(path, 16), np.full((16, 16, 3), (200, 20, 10)))


def test_shrinking_averages():
    """Stripes of one pixel become grey: no pixel is left out."""
    stripes = np.zeros((60, 40, 3), np.uint8)
    stripes[:, ::2] = 200
    np.testing.assert_array_equal(squash(stripes, 20), np.full((20, 20, 3), 100))
    np.testing.assert_array_equal(squash(ramp(17), 17), ramp(17))


@pytest.mark.parametrize("shape", [(1080, 1920), (720, 1280), (480, 641), (97, 64), (64, 64), (31, 40)])
def test_frames_are_squashed_as_the_runtime_squashes_them(shape):
    frame = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    np.testing.assert_array_equal(squash(frame, 64), fit_frame(Frame(frame, 0.0), FitSpec.square(64)))


def test_a_broken_image_is_named(tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"not a picture")
    with pytest.raises(OptionsError, match=r"broken\.jpg"):
        read_pixels(tmp_path / "broken.jpg", 8)
    with pytest.raises(OptionsError, match=r"missing\.jpg"):
        read_pixels(tmp_path / "missing.jpg", 8)
