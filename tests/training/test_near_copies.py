"""Near copies among photos: found through recoding and brightness, not between different photos; training leaves them out."""

import cv2
import numpy as np
import pytest

from redvillm.errors import OptionsError
from redvillm.training.near_copies import fingerprint, near_copies


def photo(seed, shape=(97, 131)):
    spots = np.random.default_rng(seed).integers(0, 256, (9, 11, 3)).astype(np.uint8)
    return cv2.resize(spots, shape[::-1], interpolation=cv2.INTER_CUBIC)


def written(path, pixels, quality=95):
    assert cv2.imwrite(str(path), pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return path


def test_a_fingerprint_says_where_it_gets_lighter_to_the_right(tmp_path):
    ramp = np.repeat(np.linspace(0, 250, 170).astype(np.uint8)[None], 160, axis=0)
    assert fingerprint(written(tmp_path / "ramp.png", ramp)).all()
    assert not fingerprint(written(tmp_path / "back.png", ramp[:, ::-1])).any()


def test_recoded_darker_smaller_photos_are_copies_and_others_are_not(tmp_path):
    others = [written(tmp_path / f"other{seed}.jpg", photo(seed)) for seed in range(7)]
    changed = {
        "recoded": written(tmp_path / "recoded.jpg", photo(3), quality=40),
        "darker": written(tmp_path / "darker.jpg", (photo(4) * 0.8).astype(np.uint8)),
        "smaller": written(tmp_path / "smaller.jpg", cv2.resize(photo(5), (101, 74), interpolation=cv2.INTER_AREA)),
    }
    own = [written(tmp_path / f"own{seed}.jpg", photo(seed)) for seed in range(20, 31)]
    found = dict(near_copies([*own, *changed.values()], others))
    assert found == {changed["recoded"]: others[3], changed["darker"]: others[4], changed["smaller"]: others[5]}


def test_without_other_photos_there_are_no_copies(tmp_path):
    path = written(tmp_path / "a.jpg", photo(1))
    assert list(near_copies([path], [])) == []
    assert list(near_copies([], [path])) == []


def test_what_is_no_image_is_an_error(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"no image")
    with pytest.raises(OptionsError, match=r"a\.jpg"):
        fingerprint(tmp_path / "a.jpg")
