"""Questions about clips made from photos: what the frames show is what the answers say.

Photos are ramps: red tells the column of a pixel, green its row; blue tells the photo, so that a patch of another one is seen in blue.
"""

import re
from collections import Counter
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from redvillm.training.clip_questions import SMALL_SHARES, STAYS, ClipQuestions
from redvillm.training.datasets import LabelledImage
from redvillm.training.object_questions import ObjectQuestions
from redvillm.training.photo_questions import PhotoQuestions
from redvillm.training.question_clips import ClipWriter
from redvillm.training.views import read_pixels
from redvillm.training.wordings import WORDINGS, Wordings

SIZE = 64
MIN_BLUE = 28  # photos differ by 50 levels of blue, noise and JPEG are weaker than this
CAPTIONS = (("A dog runs.", "The dog."), ("A car.", "One car."), ("A horse.", "Brown horse."), ("Zebra.", "The zebra."))
ANSWERS = {"Left.": (-1, 0), "Right.": (1, 0), "Up.": (0, -1), "Down.": (0, 1), STAYS: (0, 0)}


class RecordingWriter(ClipWriter):
    """Remembers which photos each clip was made from."""

    def __init__(self, folder):
        super().__init__(folder, SIZE, 3)
        self.sources = {}

    def sprite(self, path, other, direction, name):
        self.sources[name] = (path, other)
        return super().sprite(path, other, direction, name)

    def placed(self, path, other, share, name):
        self.sources[name] = (path, other)
        return super().placed(path, other, share, name)

    def appearing(self, path, other, name):
        self.sources[name] = (path, other)
        return super().appearing(path, other, name)


class World:
    """Photos, objects, and clips of them in a folder."""

    def __init__(self, folder, *, backwards=True, seed=0):
        self.folder = folder
        levels = np.rint(np.linspace(0, 250, SIZE)).astype(np.uint8)
        columns, rows = np.broadcast_arrays(levels[None, :], levels[:, None])
        self.photos = [LabelledImage(folder / f"photo-{n}.png", "train", captions) for n, captions in enumerate(CAPTIONS)]
        classes = ("cup", "cup", "chair", "ant")
        self.objects = [LabelledImage(folder / f"{name}-{n}.png", "train", class_name=name) for n, name in enumerate(classes)]
        for number, photo in enumerate([*self.photos, *self.objects]):
            blue = 50 * min(number, 4)
            cv2.imwrite(str(photo.path), np.stack((np.full_like(columns, blue), rows, columns), axis=-1))
        self.writer = RecordingWriter(folder)
        random = np.random.default_rng(seed)
        wordings = Wordings(random)
        about = PhotoQuestions(self.photos, random, wordings)
        about_objects = ObjectQuestions(self.objects, random, wordings)
        drawn = {"generator": random, "wordings": wordings, "backwards": backwards}
        self.made = ClipQuestions(self.photos, self.objects, about, about_objects, writer=self.writer, **drawn)

    def frames_of(self, clip):
        """Return the pixels that were written [T, size, size, 3]."""
        return np.stack([read_pixels(self.folder / name, SIZE) for name in clip.frames])

    def patches_of(self, clip):
        """Return where frames show the other photo [T, size, size]."""
        background, _ = self.sources_of(clip)
        return np.abs(self.frames_of(clip)[..., 2].astype(int) - read_pixels(background, SIZE)[..., 2]) > MIN_BLUE

    def sources_of(self, clip):
        """Return the paths of the photo below and of the photo of the patch."""
        return self.writer.sources[re.fullmatch(r"frames/(\w+-\d+)(-\d+)?\.jpg", clip.frames[0])[1]]


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def asked(clip, kind):
    return [exchange for exchange in clip.exchanges if exchange.kind == kind]


def answer(clip, kind):
    (exchange,) = asked(clip, kind)
    return exchange.answers[0]


def says_that_something_moves(exchange):
    """Whether the answer means motion, also to a question about rest."""
    assert exchange.answers in (("Yes.",), ("No.",))
    return (exchange.answers == ("Yes.",)) != (exchange.question in WORDINGS["stillness"])


def seen_direction(masks):
    """Return the direction in which the middle of a patch moves, as a step."""
    grid = np.arange(SIZE)
    masks = masks[masks.sum((1, 2)) > 4]
    middles = np.stack([masks.sum(1) @ grid, masks.sum(2) @ grid], axis=-1) / masks.sum((1, 2))[:, None]
    travel = middles[-1] - middles[0]
    if np.abs(travel).max() < 1:
        return 0, 0
    main = int(np.argmax(np.abs(travel)))
    assert np.abs(travel[main]) > SIZE / 16  # half of the shortest path at least is seen
    assert np.abs(travel[1 - main]) < 0.5 * np.abs(travel[main]) + 1  # drift
    step = [0, 0]
    step[main] = int(np.sign(travel[main]))
    return tuple(step)


def test_the_patch_is_seen_to_move_as_the_answer_says(world):
    directions = Counter()
    for number in range(24):
        for clip in world.made.moving(number):
            directions[answer(clip, "direction")] += 1
            assert seen_direction(world.patches_of(clip)) == ANSWERS[answer(clip, "direction")]
            moves = answer(clip, "direction") != STAYS
            assert {says_that_something_moves(exchange) for exchange in asked(clip, "movement")} == {moves}
            assert [exchange.answers for exchange in asked(clip, "scene change")] in ([], [("No.",)])
    assert directions.keys() == ANSWERS.keys()
    assert directions["Left."] == directions["Right."]  # each is the other one backwards
    assert directions["Up."] == directions["Down."]


def test_backwards_means_reversed_frames_and_the_opposite_answer(world):
    opposite = {"Left.": "Right.", "Right.": "Left.", "Up.": "Down.", "Down.": "Up.", STAYS: STAYS}
    for number in range(12):
        forwards, backwards = world.made.moving(number)
        assert backwards.frames == forwards.frames[::-1]
        assert answer(backwards, "direction") == opposite[answer(forwards, "direction")]
        forwards, backwards = world.made.zoom(number)
        assert backwards.frames == forwards.frames[::-1]
        assert (answer(forwards, "zoom"), answer(backwards, "zoom")) == ("It zooms in.", "It zooms out.")
        forwards, backwards = world.made.appearing(number)
        assert backwards.frames == forwards.frames[::-1]
        assert (answer(forwards, "appearance"), answer(backwards, "appearance")) == ("Something appears.", "Something disappears.")


def test_without_backwards_one_of_the_two_is_taken_by_chance(tmp_path):
    world, zooms, appearances = World(tmp_path, backwards=False), Counter(), Counter()
    for number in range(24):
        (clip,) = world.made.zoom(number)
        zooms[answer(clip, "zoom"), clip.frames == tuple(sorted(clip.frames))] += 1
        (clip,) = world.made.appearing(number)
        appearances[answer(clip, "appearance"), clip.frames == tuple(sorted(clip.frames))] += 1
        (clip,) = world.made.moving(number)
        assert seen_direction(world.patches_of(clip)) == ANSWERS[answer(clip, "direction")]
    assert zooms.keys() == {("It zooms in.", True), ("It zooms out.", False)}
    assert appearances.keys() == {("Something appears.", True), ("Something disappears.", False)}
    assert min(*zooms.values(), *appearances.values()) >= 5


def test_a_zoom_is_seen_to_come_closer_or_go_away(world):
    for number in range(6):
        for clip in world.made.zoom(number):
            frames = world.frames_of(clip)[..., :2].astype(int)
            extent = np.ptp(frames, axis=(1, 2)).mean(-1)  # of the photo, as far as it is seen
            inwards = answer(clip, "zoom") == "It zooms in."
            assert (extent[-1] < 0.8 * extent[0]) if inwards else (extent[0] < 0.8 * extent[-1])
            (zoom,) = asked(clip, "zoom")
            assert zoom.answers[1] == ("In." if inwards else "Out.")
            assert answer(clip, "scene change") == "No."


def test_what_appears_is_seen_after_and_what_disappears_before(world):
    for number in range(8):
        for clip in world.made.appearing(number):
            area = world.patches_of(clip).sum((1, 2))
            if answer(clip, "appearance") == "Something disappears.":
                area = area[::-1]
            assert area[0] == area[1] == 0
            assert np.all(area[-2:] > 0.02 * SIZE**2)


def test_an_object_of_some_size_is_there_if_the_answer_is_yes(world):
    counts = Counter()
    names = {"a cup": "cup", "a chair": "chair", "an ant": "ant"}
    asked_for = {way.format(thing=thing): name for way in WORDINGS["presence"] for thing, name in names.items()}
    for number in range(64):
        (clip,) = world.made.small_object(number)
        (exchange,) = clip.exchanges
        background, placed = world.sources_of(clip)
        assert background in {photo.path for photo in world.photos}
        assert exchange.answers == (("Yes.",) if asked_for[exchange.question] == placed.stem.split("-")[0] else ("No.",))
        share = {f"object at {share:.0%} of the width": share for share in SMALL_SHARES}[exchange.kind]
        difference = np.abs(world.frames_of(clip)[0, ..., 2].astype(int) - read_pixels(background, SIZE)[..., 2])
        mask = difference > difference.max() / 2
        # colour is stored at half the size in JPEG, which moves each rim by a pixel at most
        assert [np.ptp(np.flatnonzero(mask.any(axis))) + 1 for axis in (0, 1)] == pytest.approx([SIZE * share] * 2, abs=2.5)
        counts[share, exchange.answers] += 1
    assert counts == {(share, (answer,)): 8 for share in SMALL_SHARES for answer in ("Yes.", "No.")}


def test_patches_are_objects_and_parts_of_other_photos_never_of_the_same(world):
    for number in range(30):
        next(world.made.moving(number))
        next(world.made.appearing(number))
    objects = {photo.path for photo in world.objects}
    assert len(world.writer.sources) == 60
    assert all(path != other for path, other in world.writer.sources.values())
    assert 15 < sum(other in objects for _, other in world.writer.sources.values()) < 45


def test_a_pan_moves_and_keeps_the_scene(world):
    some_ask_for_motion = False
    for number in range(12):
        (clip,) = world.made.pan(number)
        frames = world.frames_of(clip).astype(int)
        assert len(frames) == 8
        assert np.abs(frames[0] - frames[-1]).max() > 4
        assert answer(clip, "scene change") == "No."
        for exchange in asked(clip, "movement"):
            some_ask_for_motion = True
            assert says_that_something_moves(exchange)
    assert some_ask_for_motion


def test_nothing_moves_appears_or_changes_in_a_still_clip(world):
    kinds = set()
    for number in range(12):
        (clip,) = world.made.still(number)
        frames = world.frames_of(clip).astype(int)
        assert len(frames) == 8
        assert np.abs(frames - frames.mean(0)).mean() < 5
        (movement,) = asked(clip, "movement")
        assert not says_that_something_moves(movement)
        assert answer(clip, "scene change") == "No."
        assert {exchange.answers[0] for exchange in asked(clip, "direction")} <= {STAYS}
        assert {exchange.answers[0] for exchange in asked(clip, "appearance")} <= {"Neither."}
        assert answer(clip, "describe") in {caption for captions in CAPTIONS for caption in captions}
        kinds |= {exchange.kind for exchange in clip.exchanges}
    assert kinds == {"movement", "scene change", "direction", "appearance", "describe"}


def test_a_dark_clip_shows_nothing_and_its_answers_say_so(world):
    for number in range(10):
        (clip,) = world.made.dark(number)
        assert world.frames_of(clip).mean() < 24
        assert answer(clip, "presence") == "No."
        assert answer(clip, "main colour") == "Black."
        assert answer(clip, "absent thing").startswith("There is no ")
        (movement,) = asked(clip, "movement")
        assert not says_that_something_moves(movement)
        assert all(re.search(r"dark|black|cannot tell", exchange.answers[0]) for exchange in asked(clip, "dark"))


def test_a_clip_is_described_as_its_photo(world):
    by_path = {photo.path: photo.captions for photo in world.photos}
    described = 0
    for number in range(30):
        for clip in world.made.moving(number):
            for exchange in asked(clip, "describe"):
                described += 1
                assert exchange.answers == by_path[world.sources_of(clip)[0]]
    assert 5 < described < 40


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    """Clips of two scenes; of a scene only the name matters."""
    world = World(tmp_path_factory.mktemp("scenes"), seed=11)
    objects, photos = [photo.path.name for photo in world.objects], [photo.path.name for photo in world.photos]
    return {
        "objects": [world.made.two_objects(objects) for _ in range(500)],
        "photos": [world.made.two_photos(photos) for _ in range(200)],
        "both": [world.made.photo_and_object(photos, objects) for _ in range(200)],
    }


def named_in_order(question):
    """Return the two things of a question, in its order, and what is to be told of the first: first, last, before or after."""
    for kind in ("order", "order, last", "before", "after"):
        for way in WORDINGS[kind]:
            pattern = re.escape(way).replace(r"\{first\}", r"the (?P<first>[\w ]+)").replace(r"\{second\}", r"the (?P<second>[\w ]+)")
            if found := re.fullmatch(pattern, question):
                return (found["first"], found["second"]), kind
    raise AssertionError(question)


@pytest.mark.parametrize("kind", ["objects", "photos", "both"])
def test_two_scenes_follow_each_other_and_the_scene_changes_once(scenes, kind):
    lengths = set()
    for clip in scenes[kind]:
        assert len(set(clip.frames)) == 2
        assert sum(first != second for first, second in pairwise(clip.frames)) == 1
        assert answer(clip, "scene change") == "Yes."
        lengths.add(clip.frames.index(clip.frames[-1]) / len(clip.frames))
    assert len(lengths) > 5  # the change comes not only in the middle


def test_the_first_scene_is_the_answer(scenes):
    for clip in scenes["objects"]:
        shown = [clip.frames[0].split("-")[0], clip.frames[-1].split("-")[0]]
        assert shown[0] != shown[1]
        told = {named_in_order(exchange.question)[1]: exchange for exchange in (*asked(clip, "order"), *asked(clip, "before"))}
        assert {"order", "order, last"} < told.keys()
        for kind, exchange in told.items():
            named, _ = named_in_order(exchange.question)
            assert sorted(named) == sorted(shown)
            if kind in ("order", "order, last"):
                right = shown[0 if kind == "order" else 1]
                assert exchange.answers == (f"The {right}.", f"{'An' if right[0] in 'aeiou' else 'A'} {right}.")
            else:
                assert exchange.answers == (("Yes.",) if (named[0] == shown[0]) == (kind == "before") else ("No.",))
        assert [answer(clip, f"{end} scene").split()[-1] for end in ("first", "last")] == [f"{name}." for name in shown]


def test_words_do_not_tell_the_order(scenes):
    """Half of 500, by four deviations."""
    first_named_is_right, yes_by_kind = Counter(), {"before": Counter(), "after": Counter()}
    for clip in scenes["objects"]:
        for exchange in asked(clip, "order"):
            named, kind = named_in_order(exchange.question)
            first_named_is_right[kind] += exchange.answers[0] == f"The {named[0]}."
        (exchange,) = asked(clip, "before")
        yes_by_kind[named_in_order(exchange.question)[1]][exchange.answers[0]] += 1
    assert first_named_is_right.keys() == {"order", "order, last"}
    assert all(205 < count < 295 for count in first_named_is_right.values())
    for counts in yes_by_kind.values():
        assert 190 < counts.total() < 310
        assert abs(counts["Yes."] - counts["No."]) < 4 * counts.total() ** 0.5


def test_no_class_comes_first_more_often(scenes):
    first = Counter((clip.frames[0].split("-")[0], clip.frames[-1].split("-")[0]) for clip in scenes["objects"])
    assert len(first) == 6
    for one, other in (("cup", "chair"), ("cup", "ant"), ("chair", "ant")):
        assert abs(first[one, other] - first[other, one]) < 4 * (first[one, other] + first[other, one]) ** 0.5


def test_two_photos_are_ordered_by_what_captions_tell(scenes):
    things, ordered = {"photo-0.png": "dog", "photo-1.png": "car", "photo-2.png": "horse"}, 0
    for clip in scenes["photos"]:
        shown = [things.get(clip.frames[0]), things.get(clip.frames[-1])]
        if asked(clip, "order"):
            ordered += 1
            for exchange in asked(clip, "order"):
                named, kind = named_in_order(exchange.question)
                assert shown[0 if kind == "order" else 1] == exchange.answers[0].removeprefix("The ").removesuffix(".")
                assert set(named) == set(shown)
        else:
            assert None in shown  # nothing is known of the zebra
        captions = [CAPTIONS[int(Path(name).stem[-1])] for name in (clip.frames[0], clip.frames[-1])]
        for place, end in enumerate(("first", "last")):
            assert {exchange.answers for exchange in asked(clip, f"{end} scene")} <= {captions[place]}
    assert ordered > 150


def test_of_a_photo_and_an_object_either_comes_first(scenes):
    starts = Counter()
    for clip in scenes["both"]:
        for end, frame in (("first", clip.frames[0]), ("last", clip.frames[-1])):
            name, number = Path(frame).stem.split("-")
            (exchange,) = asked(clip, f"{end} scene")
            expected = CAPTIONS[int(number)] if name == "photo" else ({"cup": "A cup.", "chair": "A chair.", "ant": "An ant."}[name],)
            assert exchange.answers == expected
        starts[clip.frames[0].startswith("photo")] += 1
    assert 70 < starts[True] < 130


def test_clips_are_a_function_of_the_seed(tmp_path):
    made = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        (tmp_path / name).mkdir()
        world = World(tmp_path / name, seed=seed)
        clips = [clip for make in (world.made.moving, world.made.zoom, world.made.appearing, world.made.still) for clip in make(0)]
        made.append([(clip, world.frames_of(clip).tobytes()) for clip in clips])
    assert made[0] == made[1] != made[2]
