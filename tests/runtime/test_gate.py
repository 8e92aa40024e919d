"""The duplicate gate on real pictures: what must count as the same, and what must not."""

import time

import numpy as np
import pytest

from redvillm.errors import OptionsError
from redvillm.runtime.drops import DropReason
from redvillm.runtime.frame import Frame
from redvillm.runtime.gate import DEFAULT_THRESHOLD, ThumbnailGate, Verdict, difference, thumbnail
from redvillm.runtime.opencv import load_cv2
from redvillm.runtime.stream_options import StreamOptions

LOOK = 3  # of frames at 25 a second, about 8 looks a second


def verdicts(pictures, **options):
    gate = ThumbnailGate(**options)
    return [gate.judge(Frame(picture, index * 0.12, index * 0.12, is_bgr=True)) for index, picture in enumerate(pictures)]


def noisy(picture, sigma, random):
    return np.clip(picture + random.normal(0, sigma, picture.shape), 0, 255).astype(np.uint8)


def as_jpeg(pictures, quality):
    cv2 = load_cv2()
    return [cv2.imdecode(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR) for picture in pictures]


def as_video(pictures, path):
    cv2 = load_cv2()
    height, width = pictures[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 25.0, (width, height))
    assert writer.isOpened(), "this cv2 cannot write the clip of the test"
    for picture in pictures:
        writer.write(picture)
    writer.release()
    return frames_of(path)


def frames_of(path):
    video = load_cv2().VideoCapture(str(path))
    frames = []
    while True:
        ok, frame = video.read()
        if not ok:
            video.release()
            return frames
        frames.append(frame)


def scene(height=120, width=192, seed=0):
    """A picture with large and small structure, BGR."""
    cv2 = load_cv2()
    random = np.random.default_rng(seed)
    layers = [cv2.resize(random.integers(0, 256, (rows, rows * 2, 3), dtype=np.uint8), (width, height)) for rows in (3, 12, 40)]
    return np.mean(layers, axis=0).astype(np.uint8)


@pytest.mark.parametrize(("sigma", "quality"), [(0, 30), (4, 40), (8, 60), (8, 90)])
def test_noise_is_no_change(sigma, quality):
    random = np.random.default_rng(1)
    still = as_jpeg([noisy(scene(), sigma, random) for _ in range(20)], quality)
    assert verdicts(still) == [Verdict.CHANGED] + [Verdict.DUPLICATE] * 19


def test_a_flickering_lamp_is_no_change_and_a_lamp_that_goes_out_is_one():
    picture = scene().astype(np.float32)
    flicker = [np.clip(picture * gain, 0, 255).astype(np.uint8) for gain in (1.0, 1.05, 0.95, 1.02, 0.97)]
    assert verdicts(flicker) == [Verdict.CHANGED] + [Verdict.DUPLICATE] * 4
    assert verdicts([flicker[0], (picture * 0.5).astype(np.uint8)])[1] is Verdict.CHANGED


@pytest.mark.parametrize(("height", "width"), [(1, 1), (2, 3), (7, 5), (17, 640), (121, 193)])
def test_sizes_that_do_not_divide(height, width):
    random = np.random.default_rng(height)
    picture = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
    wide = np.concatenate([picture, picture], axis=1)[:, :width]  # a view with strides of its own
    assert verdicts([picture, picture.copy(), wide, 255 - picture]) == [Verdict.CHANGED, Verdict.DUPLICATE, Verdict.DUPLICATE, Verdict.CHANGED]


def test_another_size_is_a_change():
    assert verdicts([scene(60, 96), scene(60, 120)]) == [Verdict.CHANGED, Verdict.CHANGED]


def test_thumbnails_are_means_of_cells_and_know_the_order_of_colours():
    pixels = np.random.default_rng(3).integers(0, 256, (130, 150, 3), dtype=np.uint8)  # cells of 6 x 6, 21 x 25 of them; 4 rows are left out
    cells = thumbnail(Frame(pixels, 0.0))
    expected = pixels[2:128].reshape(21, 6, 25, 6, 3).mean(axis=(1, 3))
    assert cells.shape == (21, 25, 4)
    np.testing.assert_allclose(cells[..., :3], expected, atol=0.51)  # rounded to levels
    np.testing.assert_allclose(cells[..., 3], expected @ [0.299, 0.587, 0.114], atol=1.1)
    np.testing.assert_allclose(thumbnail(Frame(pixels[..., ::-1].copy(), 0.0, is_bgr=True))[..., 3], cells[..., 3], atol=0)


def test_the_difference_is_that_of_the_cell_that_changed_most():
    cells = np.random.default_rng(4).uniform(0, 200, (20, 30, 4)).astype(np.float32)
    assert difference(cells, cells) == pytest.approx(0, abs=1e-3)
    assert difference(cells * 1.04 + 5, cells) == pytest.approx(0, abs=1e-3)
    moved = cells.copy()
    moved[7, 9, 3] += 40
    assert difference(moved, cells) == pytest.approx(40, abs=0.5)  # the fit takes a little of it
    coloured = cells.copy()
    coloured[7, 9, 0] += 40
    assert difference(coloured, cells) == pytest.approx(20, abs=0.5)


def test_slow_drift_adds_up_and_gets_through():
    ramp = np.linspace(0, 60, 60)
    pictures = [scene() for _ in ramp]
    for picture, level in zip(pictures, ramp, strict=True):
        picture[40:60, 40:60] = int(90 + level)
    seen = verdicts(pictures)
    assert 3 <= seen.count(Verdict.CHANGED) <= 8  # about every 12 levels
    assert Verdict.REFRESH not in seen


def test_a_frame_is_let_through_at_least_so_often():
    seen = verdicts([scene()] * 60, refresh_s=2.0)
    assert [index for index, verdict in enumerate(seen) if verdict is Verdict.REFRESH] == [17, 34, 51]  # 17 looks of 0.12 s are two seconds


def test_time_of_the_clip_can_decide():
    gate = ThumbnailGate(refresh_s=1.0, by_clip_time=True)
    pictures = [Frame(scene(), 0.0, clip_time_s) for clip_time_s in (0.0, 0.5, 1.0)]
    assert [gate.judge(picture) for picture in pictures] == [Verdict.CHANGED, Verdict.DUPLICATE, Verdict.REFRESH]


@pytest.mark.network
@pytest.mark.parametrize("clip", ["sample:bikes", "sample:bigbuckbunny"])
def test_the_sample_clips_move_and_their_frames_held_do_not(fetch_real, clip, tmp_path):
    frames = frames_of(fetch_real(clip))
    moving = verdicts(frames[::LOOK])
    assert moving.count(Verdict.CHANGED) == len(moving)
    random = np.random.default_rng(0)
    for index in (5, len(frames) // 2, len(frames) - 5):
        held = [noisy(frames[index], 5, random) for _ in range(25)]
        for still in (as_video(held, tmp_path / "still.mp4")[::LOOK], as_jpeg(held[::LOOK], 50)):
            assert verdicts(still) == [Verdict.CHANGED] + [Verdict.DUPLICATE] * (len(still) - 1)


@pytest.mark.network
def test_a_slow_pan_and_a_small_thing_that_moves_are_seen(fetch_real, tmp_path):
    cv2 = load_cv2()
    frames = frames_of(fetch_real("sample:bikes"))
    random = np.random.default_rng(0)
    for index in (130, 215):
        picture = frames[index]
        height, width = picture.shape[:2]
        larger = cv2.resize(picture, (width * 5 // 4, height * 5 // 4))
        shifts = [np.array([[1, 0, -8 - 2 * step / 25], [0, 1, -8]], np.float32) for step in range(50)]  # two pixels a second
        pan = [noisy(cv2.warpAffine(larger, shift, (width, height)), 4, random) for shift in shifts]
        assert verdicts(as_video(pan, tmp_path / "pan.mp4")[::LOOK])[1:9].count(Verdict.CHANGED) >= 1
        thing = cv2.resize(frames[95][60:220, 300:460], (16, 16), interpolation=cv2.INTER_AREA)  # 1/40 of the width
        walk = []
        for step in range(25):
            walk.append(noisy(picture, 4, random))
            if step >= 12:
                walk[-1][150:166, 120 + 4 * step : 136 + 4 * step] = thing
        seen = verdicts(as_video(walk, tmp_path / "walk.mp4")[::LOOK])
        assert seen[1:4] == [Verdict.DUPLICATE] * 3
        assert seen[4:].count(Verdict.CHANGED) >= 3


def still_frames(number, value=90):
    for _ in range(number):
        time.sleep(0.002)
        yield np.full((24, 24, 3), value, np.uint8)


def test_a_still_scene_is_encoded_once_and_stays_confirmed(open_stream, encoder, language, wait_for):
    stream = open_stream(still_frames(10**6), gate=ThumbnailGate(), prefill_every_s=0.0, idle_rate_hz=200.0)
    wait_for(lambda: stream.status.counts.drops[DropReason.DUPLICATE] > 10)
    snapshot = stream.snapshot
    time.sleep(0.3)
    assert stream.snapshot is snapshot
    assert snapshot.version == snapshot.num_frames == 4  # the window was filled with what was encoded once
    assert encoder.num_frames == stream.status.counts.used == 1
    evidence = stream.ask("what").evidence
    num_prefilled = len(language.prefilled)
    time.sleep(0.3)
    assert stream.ask("what", max_evidence_age_ms=250).stats.prefix_reused  # fresh by its confirmation, not by its age
    assert len(language.prefilled) == num_prefilled
    assert evidence.age_newest_ms >= 300
    assert evidence.age_confirmed_ms <= 250
    status = stream.status
    assert status.age_confirmed_ms < status.age_newest_ms
    counts = status.counts
    assert counts.captured == counts.used + counts.dropped + counts.in_flight


def test_what_left_the_scene_leaves_the_window(open_stream, wait_for):
    def leaves():
        yield from still_frames(40, 200)
        yield from still_frames(10**6, 40)

    stream = open_stream(leaves(), gate=ThumbnailGate())
    wait_for(lambda: stream.snapshot is not None and stream.snapshot.pooled.spatial_pooling.max() < 41, "a window without the bright frames")
    assert stream.status.counts.used == 2
    assert stream.snapshot.pooled.motion_energy.max() == 0


def test_a_change_on_a_still_scene_is_seen_at_the_next_look(open_stream, wait_for):
    level = [90]

    def camera():
        while True:
            yield from still_frames(1, level[0])

    stream = open_stream(camera(), gate=ThumbnailGate(), idle_rate_hz=20.0)
    wait_for(lambda: stream.status.counts.drops[DropReason.DUPLICATE] > 6)
    level[0] = 200
    wait_for(lambda: stream.status.counts.used == 2)
    wait_for(lambda: stream.snapshot.pooled.spatial_pooling.min() > 199, "a window of the new scene")


def test_a_still_scene_is_looked_at_less_often(open_stream, wait_for):
    stream = open_stream(still_frames(10**6), gate=ThumbnailGate(), rate_hz=100, idle_rate_hz=10)
    wait_for(lambda: stream.snapshot is not None and stream.snapshot.version == 4)
    before, start_s = stream.status.counts.drops[DropReason.DUPLICATE], time.perf_counter()
    time.sleep(0.5)
    looks = stream.status.counts.drops[DropReason.DUPLICATE] - before
    assert 1 <= looks <= 10 * (time.perf_counter() - start_s) + 2


def test_a_refresh_encodes_and_leaves_the_scene_still(open_stream, encoder, wait_for):
    stream = open_stream(still_frames(10**6), gate=ThumbnailGate(refresh_s=0.15), idle_rate_hz=200.0)
    wait_for(lambda: encoder.num_frames >= 4)
    stream.close()
    counts = stream.status.counts
    assert counts.used == encoder.num_frames
    assert stream.snapshot.version == 4 + counts.used - 1  # filled once; each refresh enters once


@pytest.mark.parametrize(
    "values", [{"gate": "all"}, {"gate": None}, {"gate_threshold": -1}, {"refresh_s": float("nan")}, {"idle_rate_hz": 0}, {"gate_threshold": True}]
)
def test_options_of_the_gate_are_checked(values):
    with pytest.raises(OptionsError, match=next(iter(values))):
        StreamOptions(**values)
    assert StreamOptions().gate_threshold == DEFAULT_THRESHOLD
