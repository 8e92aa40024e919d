"""Question files of the splits: balanced, repeatable, and made of the photos of their own split only.

The photos of a split have a colour of their own (training red, validation green, test blue), so that a frame tells which photos it was made from.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter

import cv2
import numpy as np
import pytest

from redvillm.errors import OptionsError
from redvillm.question_set import read_question_set
from redvillm.training import question_clips, question_files
from redvillm.training.clip_questions import SMALL_SHARES, STAYS
from redvillm.training.concepts import CONCEPTS
from redvillm.training.datasets import read_caltech101, read_flickr8k, split_of
from redvillm.training.question_files import AMOUNTS, SPLITS, Amounts, QuestionFile, main, write_question_file
from redvillm.training.wordings import WORDINGS

SIZE = 32
COLOURS = {"train": 0, "validation": 1, "test": 2}  # places of red, green and blue
SMALL = Amounts(views=2, object_views=2, moving=9, changing=5, steady=5, orders=15, dark=2, backwards=True, small=8)
CAPTIONS = (
    ("A brown dog runs on the beach .", "The brown dog is running on the beach"),
    ("Two men in the snow .", "two men climb up a snowy hill ."),
    ("A girl in a red dress sits on a couch .", "The girl is sitting on the sofa ."),
    ("A car on the street .", "A white car on the road ."),
)
ASKED_FOR = {way.format(thing=concept): concept for way in WORDINGS["presence"] for concept in CONCEPTS}


def splits_of(data):
    return {
        **{photo.path.name: photo.split for photo in read_flickr8k(data / "flickr8k")},
        **{f"{photo.path.parent.name}-{photo.path.name}": photo.split for photo in read_caltech101(data / "caltech101")},
    }


def photo_of(split, random, shape):
    """Smooth noise in the colour of the split."""
    photo = np.zeros((*shape, 3), np.uint8)
    spots = random.integers(90, 256, (4, 4)).astype(np.uint8)
    photo[..., 2 - COLOURS[split]] = cv2.resize(spots, shape[::-1], interpolation=cv2.INTER_LINEAR)  # OpenCV has blue first
    return photo


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Photos of coloured noise: seven with captions in each split, and two kinds of objects, five each."""
    folder, random, lines = tmp_path_factory.mktemp("data"), np.random.default_rng(0), []
    (folder / "flickr8k" / "images").mkdir(parents=True)
    for split in SPLITS:
        numbers = [number for number in range(400) if split_of(f"{number}.jpg") == split][:7]
        for place, number in enumerate(numbers):
            cv2.imwrite(str(folder / "flickr8k" / "images" / f"{number}.jpg"), photo_of(split, random, (32, 32)))
            lines += [f"{number}.jpg\t{caption}" for caption in CAPTIONS[place % 4]]
    (folder / "flickr8k" / "captions.tsv").write_text("\n".join(lines))
    for kind in ("cup", "chair"):
        (folder / "caltech101" / kind).mkdir(parents=True)
        for split in SPLITS:
            for number in [number for number in range(400) if split_of(f"{kind}/{number}.jpg") == split][:5]:
                cv2.imwrite(str(folder / "caltech101" / kind / f"{number}.jpg"), photo_of(split, random, (40, 30)))
    return folder


@pytest.fixture(scope="module")
def files(data, tmp_path_factory):
    """The small question file of every split: its folder and its questions."""
    made = {}
    for split in SPLITS:
        folder = tmp_path_factory.mktemp(split)
        count = write_question_file(QuestionFile(data, folder, split=split, image_size=SIZE, seed=2, amounts=SMALL), folder)
        made[split] = folder, read_question_set(folder / "questions.jsonl")
        assert len(made[split][1]) == count
    return made


def lines_of(folder):
    return [json.loads(line) for line in (folder / "questions.jsonl").read_text(encoding="utf-8").splitlines()]


def digest(folder):
    """Return the hash of every file, by its name."""
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.rglob("*")) if path.is_file()}


def shown_colours(path):
    """Return which of red, green and blue fill more than a speck of a frame."""
    blurred = cv2.blur(cv2.imread(str(path))[..., ::-1], (3, 3))
    return {channel for channel in range(3) if (blurred[..., channel] > 60).mean() > 0.002}


def test_a_file_holds_questions_of_all_kinds_with_their_frames(data, tmp_path):
    assert main(["--data", str(data), "--out", str(tmp_path), "--image-size", "37"]) == 0
    questions = read_question_set(tmp_path / "questions.jsonl")
    kinds = Counter(question.kind for question in questions)
    held_out = {"describe", "presence", "naming", "colour", "place", "action", "counting", "object presence", "absent thing", "unknowable"}
    made = {"direction", "movement", "zoom", "appearance", "dark", "scene change", "order", "before", "first scene", "last scene", "main colour"}
    small = {f"object at {share:.0%} of the width" for share in SMALL_SHARES}
    assert kinds.keys() == held_out | made | small
    frames = {path for question in questions for path in question.media}
    assert all(path.is_file() for path in frames)
    assert {path.name for path in (tmp_path / "frames").iterdir()} == {path.name for path in frames}  # and no other
    assert {cv2.imread(str(path)).shape for path in list(frames)[:20]} == {(37, 37, 3)}
    photos = [question.media[0] for question in questions if question.kind == "describe" and len(question.media) == 1]
    assert {split_of(path.name) for path in photos} == {"test"}
    assert kinds["zoom"] == min(AMOUNTS["test"].changing, 4 * 7)


@pytest.mark.parametrize("split", SPLITS)
def test_only_photos_of_the_split_are_read(data, tmp_path, monkeypatch, split):
    read = []
    for module in (question_clips, question_files):

        def recording(path, size, plain=module.read_pixels):
            read.append(path)
            return plain(path, size)

        monkeypatch.setattr(module, "read_pixels", recording)
    made = Counter(re.sub(r"[\d-]+$", "", clip.frames[0].split("/")[1].removesuffix(".jpg")) for clip in made_clips(data, tmp_path, split))
    assert {"moving", "zoom", "pan", "still", "appears", "dark", "small", "cup", "chair"} < made.keys()
    splits = splits_of(data)
    used = {path.name if path.parent.name == "images" else f"{path.parent.name}-{path.name}" for path in read}
    assert used == {name for name, part in splits.items() if part == split}  # all of them, and no other


@pytest.mark.parametrize(("split", "others"), [("train", ("test", "validation")), ("validation", ("test",))])
def test_near_copies_of_photos_of_a_later_split_are_left_out(data, tmp_path, split, others):
    shutil.copytree(data, tmp_path / "data")
    cups = [photo for photo in read_caltech101(tmp_path / "data" / "caltech101") if photo.class_name == "cup"]
    own = [photo.path for photo in cups if photo.split == split]
    for copy, other in zip(own, others, strict=False):
        shutil.copy(next(photo.path for photo in cups if photo.split == other), copy)
    shown = {clip.frames[0].split("/")[1] for clip in made_clips(tmp_path / "data", tmp_path / "out", split)}
    assert {path for path in own if f"cup-{path.stem}.jpg" in shown} == set(own[len(others) :])


def made_clips(data, folder, split):
    return list(QuestionFile(data, folder, split=split, image_size=SIZE, seed=0, amounts=SMALL).clips())


@pytest.mark.parametrize("split", SPLITS)
def test_frames_show_nothing_of_another_split(files, split):
    folder, questions = files[split]
    dark = {path for question in questions if question.kind == "dark" for path in question.media}
    frames = set((folder / "frames").iterdir())
    assert len(frames) > 250
    assert {path: shown_colours(path) for path in frames} == {path: set() if path in dark else {COLOURS[split]} for path in frames}


def test_a_patch_of_another_split_would_be_seen(data, tmp_path):
    """The test above can fail: a red patch over a blue photo is seen in each of its frames."""
    by_split = {split: next(photo.path for photo in read_flickr8k(data / "flickr8k") if photo.split == split) for split in SPLITS}
    names = question_clips.ClipWriter(tmp_path, SIZE, 0).sprite(by_split["test"], by_split["train"], "", "mixed")
    assert [shown_colours(tmp_path / name) for name in names] == [{COLOURS["test"], COLOURS["train"]}] * 8


def test_no_two_files_share_a_photo(files):
    names = {
        split: {path.name for question in questions for path in question.media if path.stem.isdigit()} for split, (_, questions) in files.items()
    }
    assert all(len(found) == 7 for found in names.values())
    assert len(set().union(*names.values())) == 21


@pytest.mark.parametrize("split", SPLITS)
def test_yes_and_no_are_equally_frequent_for_every_thing(files, split):
    _, questions = files[split]
    counts = Counter((ASKED_FOR[q.question], q.answers[0]) for q in questions if q.kind == "presence" and len(q.media) == 1)
    assert {answer for _, answer in counts} == {"Yes.", "No."}
    things = {concept for concept, _ in counts}
    assert len(things) > 4
    assert all(counts[thing, "Yes."] == counts[thing, "No."] for thing in things)
    objects = Counter(q.answers[0] for q in questions if q.kind == "object presence")
    assert objects["Yes."] == objects["No."] == 2 * 10


def test_the_test_split_asks_about_twelve_things_at_most(files):
    for split in ("validation", "test"):
        things = {ASKED_FOR[q.question] for q in files[split][1] if q.kind == "presence" and len(q.media) == 1}
        assert things <= set(list(CONCEPTS)[:12])


def test_the_amounts_are_made_of_every_kind(files):
    for folder, questions in files.values():
        clips = Counter(re.sub(r"-\d+-\d+$", "", line["frames"][0].split("/")[1]) for line in unique_clips(lines_of(folder)))
        names = {name.removesuffix(".jpg"): count for name, count in clips.items()}
        count = {kind: sum(n for name, n in names.items() if name.startswith(kind)) for kind in ("moving", "zoom", "pan", "still", "appears", "dark")}
        # what has a direction counts backwards too
        assert count == {"moving": 18, "zoom": 10, "pan": 5, "still": 5, "appears": 10, "dark": 2}
        assert sum(q.kind == "scene change" and q.answers == ("Yes.",) for q in questions) == 15
        assert sum(q.kind == "naming" and len(q.media) == 1 and q.question in WORDINGS["naming"] for q in questions) == 2 * 10


def unique_clips(lines):
    return list({tuple(line["frames"]): line for line in lines}.values())


def test_small_objects_are_asked_about_in_balance(files):
    """Of eight, each of four sizes is asked about an object that is there and one that is not."""
    for _, questions in files.values():
        counts = Counter((q.kind, q.answers) for q in questions if q.kind.startswith("object at"))
        assert counts == {(f"object at {share:.0%} of the width", (answer,)): 1 for share in SMALL_SHARES for answer in ("Yes.", "No.")}


def test_few_photos_give_few_clips(data, tmp_path):
    """At most four clips of a kind a photo: seven photos do not give a hundred zooms that differ."""
    amounts = Amounts(views=1, object_views=1, moving=0, changing=29, steady=29, orders=0, dark=100, backwards=False)
    clips = list(QuestionFile(data, tmp_path, split="test", image_size=SIZE, seed=0, amounts=amounts).clips())
    counts = Counter(clip.frames[0].split("/")[1].split("-")[0] for clip in clips)
    assert counts["zoom"] == counts["still"] == counts["dark"] == 28
    assert "moving" not in counts


def test_moving_clips_have_the_same_clip_backwards(files):
    _, questions = files["train"]
    answers = {q.media: q.answers[0] for q in questions if q.kind == "direction" and "moving" in q.media[0].name}
    opposite = {"Left.": "Right.", "Right.": "Left.", "Up.": "Down.", "Down.": "Up.", STAYS: STAYS}
    assert len(answers) == 18
    for media, answer in answers.items():
        assert answers[media[::-1]] == opposite[answer]


def test_each_view_of_a_photo_is_another_picture(files):
    folder, _ = files["train"]
    views = sorted((folder / "frames").glob("[0-9]*-1.jpg"))
    assert len(views) == 7
    for path in views:
        first, second = (cv2.imread(str(folder / "frames" / name)).astype(int) for name in (path.name, path.name.replace("-1.jpg", ".jpg")))
        assert np.abs(first - second).mean() > 1


@pytest.mark.parametrize(("split", "colour"), [("train", "Red."), ("validation", "Green."), ("test", "Blue.")])
def test_the_main_colour_is_that_of_the_photo(files, split, colour):
    asked = [(question.answers, shown_colours(question.media[0])) for question in files[split][1] if question.kind == "main colour"]
    assert {answers for answers, colours in asked if colours} == {(colour,)}
    assert {answers for answers, colours in asked if not colours} == {("Black.",)}  # of the dark clips
    assert len(asked) == 2 * 7 + 2


def test_the_first_scene_is_the_answer(files):
    told = Counter()
    for _, questions in files.values():
        for question in questions:
            kinds = [path.name.split("-")[0] for path in question.media]
            if question.kind == "order" and set(kinds) == {"cup", "chair"}:
                last = re.search(r"\blast\b|\bend\b|\bsecond\b", question.question) is not None
                assert question.answers[0] == f"The {kinds[-1 if last else 0]}."
                first_named = re.search(r"the (cup|chair)", question.question)[1]
                told[question.answers[0] == f"The {first_named}."] += 1
    assert told.total() == 3 * 9 * 2
    assert 0.2 < told[True] / told.total() < 0.8  # the order of the words does not tell


@pytest.mark.parametrize("kept_back", [False, True])
def test_wordings_that_are_kept_back_are_asked_only_on_request(data, tmp_path, kept_back):
    held = {way for kind, ways in WORDINGS.items() for way in ways[-4 if kind == "unknowable" else -2 :]}
    patterns = [re.compile(re.sub(r"\\{\w+\\}", ".+", re.escape(way))) for way in held]
    questions = QuestionFile(data, tmp_path, split="train", image_size=SIZE, seed=1, kept_back=kept_back, amounts=SMALL)
    asked = {line["question"] for line in questions.lines()}
    assert len(asked) > 60
    found = {question for question in asked if any(pattern.fullmatch(question) for pattern in patterns)}
    assert found == (asked if kept_back else set())


def test_the_command_line_can_ask_in_kept_back_wordings(data, tmp_path):
    questions = []
    for name, more in (("plain", []), ("kept", ["--kept-back-wordings"])):
        out = tmp_path / name
        assert main(["--data", str(data), "--out", str(out), "--split", "validation", "--image-size", "16", "--seed", "3", *more]) == 0
        questions.append({line["question"] for line in lines_of(out)})
    assert not questions[0] & questions[1]


def test_the_same_seed_gives_the_same_bytes(data, tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        made = QuestionFile(data, tmp_path / name, split="train", image_size=SIZE, seed=seed, amounts=SMALL)
        write_question_file(made, tmp_path / name)
    first, again, other = (digest(tmp_path / name) for name in "abc")
    assert first == again
    assert len(first) > 250
    assert other["questions.jsonl"] != first["questions.jsonl"]
    moving = [name for name in first if "moving" in name]
    assert moving
    assert all(first[name] != other[name] for name in moving)


def test_a_clip_is_a_function_of_its_photos_its_name_and_the_seed(data, tmp_path):
    photo, other = (photo.path for photo in read_flickr8k(data / "flickr8k")[:2])
    made = []
    for number, (seed, name) in enumerate(((1, "x"), (1, "x"), (2, "x"), (1, "y"))):
        writer = question_clips.ClipWriter(tmp_path / str(number), SIZE, seed)
        names = [*writer.view(photo, f"{name}-view"), *writer.pan(photo, f"{name}-pan"), *writer.sprite(photo, other, "up", f"{name}-up")]
        made.append([(tmp_path / str(number) / frame).read_bytes() for frame in names])
        writer.pan(other, "again")  # what was written before does not matter
    assert made[0] == made[1]
    assert not set(made[0]) & set(made[2])
    assert not set(made[0]) & set(made[3])


def test_another_process_writes_the_same_bytes(data, tmp_path):
    """Neither the order of sets nor that of a folder tells."""
    code = (
        "import sys; from pathlib import Path; from redvillm.training.question_files import *; data, out = map(Path, sys.argv[1:]);"
        f"write_question_file(QuestionFile(data, out, split='test', image_size={SIZE}, seed=5, amounts={SMALL!r}), out)"
    )
    for name, hash_seed in (("a", "1"), ("b", "2")):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        subprocess.run([sys.executable, "-c", code, str(data), str(tmp_path / name)], check=True, env=environment, stdout=subprocess.DEVNULL)
    assert digest(tmp_path / "a") == digest(tmp_path / "b")


def test_no_data_is_told(tmp_path, capsys):
    assert main(["--data", str(tmp_path), "--out", str(tmp_path / "out")]) == 1
    assert "captions.tsv is missing" in capsys.readouterr().err
    assert not (tmp_path / "out" / "questions.jsonl").exists()


def test_too_few_photos_are_told(data, tmp_path):
    (tmp_path / "flickr8k").symlink_to(data / "flickr8k")
    (tmp_path / "caltech101").mkdir()
    (tmp_path / "caltech101" / "cup").symlink_to(data / "caltech101" / "cup")
    with pytest.raises(OptionsError, match="too few photos in the split 'test'"):  # one class has no other to tell from
        QuestionFile(tmp_path, tmp_path / "out", split="test", image_size=SIZE, seed=0)


def test_a_broken_photo_is_named_and_leaves_no_file(data, tmp_path, capsys):
    (tmp_path / "caltech101").symlink_to(data / "caltech101")
    (tmp_path / "flickr8k" / "images").mkdir(parents=True)
    (tmp_path / "flickr8k" / "captions.tsv").write_bytes((data / "flickr8k" / "captions.tsv").read_bytes())
    for photo in read_flickr8k(data / "flickr8k"):
        if photo.split == "test":
            (tmp_path / "flickr8k" / "images" / photo.path.name).write_bytes(b"no picture")
    assert main(["--data", str(tmp_path), "--out", str(tmp_path / "out")]) == 1
    assert re.search(r"\d+\.jpg is not a readable image", capsys.readouterr().err)
    assert not (tmp_path / "out" / "questions.jsonl").exists()
