"""The main colour of a picture."""

import colorsys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from redvillm.training.main_colours import picture_colour

NAMES = {"black", "white", "grey", "red", "orange", "yellow", "green", "blue", "purple", "pink", "brown"}
EXAMPLES = [
    ("black", (20, 18, 22)),
    ("white", (240, 242, 238)),
    ("grey", (128, 126, 130)),
    ("red", (200, 20, 30)),
    ("red", (128, 5, 5)),
    ("orange", (255, 140, 0)),
    ("yellow", (250, 230, 40)),
    ("green", (34, 139, 34)),
    ("green", (124, 252, 0)),
    ("blue", (30, 60, 200)),
    ("blue", (135, 206, 235)),  # a sky
    ("purple", (128, 20, 140)),
    ("pink", (255, 105, 180)),
    ("brown", (120, 70, 30)),
]
SIZES = [(1, 1), (37, 53), (64, 64), (5, 301)]


def solid(colour, size, seed=0):
    """A picture of one colour with the noise of a camera."""
    noise = np.random.default_rng(seed).normal(0, 3, (*size, 3))
    return np.clip(np.rint(np.array(colour) + noise), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize(("name", "colour"), EXAMPLES)
def test_one_colour_gives_its_name(name, colour, size):
    assert picture_colour(solid(colour, size)) == name


@pytest.mark.parametrize("axis", [0, 1])
def test_two_halves_have_no_main_colour(axis):
    for first, (name, colour) in enumerate(EXAMPLES):
        for other, paint in EXAMPLES[first + 1 :]:
            if name != other:
                assert picture_colour(np.concatenate((solid(colour, (32, 32)), solid(paint, (32, 32), 1)), axis)) == ""


@pytest.mark.parametrize(("share", "wanted"), [(90, "red"), (75, "red"), (58, ""), (42, ""), (25, "blue"), (10, "blue")])
def test_the_larger_part_must_lead_clearly(share, wanted):
    picture = np.concatenate((solid((200, 20, 30), (100, share)), solid((30, 60, 200), (100, 100 - share), 1)), axis=1)
    assert picture_colour(picture) == wanted
    assert picture_colour(picture[:, ::-1]) == wanted  # where it lies does not matter


def test_three_thirds_have_no_main_colour():
    parts = [solid(colour, (30, 30)) for colour in ((200, 20, 30), (34, 139, 34), (30, 60, 200))]
    assert picture_colour(np.concatenate(parts)) == ""


def test_half_a_picture_that_leads_far_is_named():
    """Five parts in nine are green, one each has another colour."""
    parts = [solid((34, 139, 34), (55, 40))]
    parts += [solid(colour, (11, 40)) for colour in ((200, 20, 30), (30, 60, 200), (20, 20, 20), (240, 240, 240))]
    assert picture_colour(np.concatenate(parts)) == "green"


@settings(deadline=None)
@given(npst.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3))))
def test_any_picture_has_a_known_colour_or_none(pixels):
    assert picture_colour(pixels) in {"", *NAMES}


@settings(deadline=None)
@given(st.tuples(*[st.integers(0, 255)] * 3))
def test_every_single_colour_has_a_name_except_pale_warm_ones(colour):
    """The ranges of the names leave no gap but for pink, tan and cream."""
    hue, saturation, _ = colorsys.rgb_to_hsv(*(value / 255 for value in colour))
    pale_and_warm = saturation < 0.44 and not 0.19 < hue < 0.95
    assert picture_colour(np.full((3, 7, 3), colour, np.uint8)) in {*NAMES, *([""] if pale_and_warm else [])}
