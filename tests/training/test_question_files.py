import json
from collections import Counter

import cv2
import numpy as np
import pytest

from redvillm.question_set import read_question_set
from redvillm.training.colours import main_colour, names_of
from redvillm.training.datasets import split_of
from redvillm.training.question_files import QuestionFile, main


@pytest.mark.parametrize(
    ("captions", "colour"),
    [
        (["A brown dog runs.", "The brown dog is out."], "brown"),
        (["A golden dog runs.", "A tan dog.", "A dog."], "tan"),
        (["A brown dog runs.", "A dog."], ""),  # one voice
        (["A brown dog.", "A brown dog.", "A black dog."], ""),  # they disagree
        (["A brown dogfish.", "A brown dogfish."], ""),
        (["A brown dog and a brown dog.", "A dog."], ""),  # one caption is one voice
    ],
)
def test_captions_must_agree_on_a_colour(captions, colour):
    assert main_colour("dog", captions) == colour


def test_all_names_of_a_colour_are_right():
    assert names_of("dog", "tan") == ("tan", "beige", "blond", "blonde", "golden", "yellow")
    assert names_of("shirt", "yellow") == ("yellow",)
    assert names_of("shirt", "grey") == ("grey", "gray")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Photos of noise: four with captions in each part, and two kinds of objects."""
    folder, random = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    (folder / "flickr8k" / "images").mkdir(parents=True)
    lines = []
    for number in range(160):
        name = f"{number}.jpg"
        if split_of(name) in ("test", "validation"):
            cv2.imwrite(str(folder / "flickr8k" / "images" / name), random.integers(0, 255, (32, 32, 3), np.uint8))
            thing = "brown dog" if number % 2 else "man"
            lines += [f"{name}\tA {thing} runs .", f"{name}\ta {thing} on grass"]
    (folder / "flickr8k" / "captions.tsv").write_text("\n".join(lines))
    for kind in ("cup", "chair"):
        (folder / "caltech101" / kind).mkdir(parents=True)
        for number in range(90):
            if split_of(f"{kind}/{number}.jpg") in ("test", "validation"):
                cv2.imwrite(str(folder / "caltech101" / kind / f"{number}.jpg"), random.integers(0, 255, (40, 30, 3), np.uint8))
    return folder


def test_a_file_holds_held_out_questions_in_balance(data, tmp_path):
    assert main(["--data", str(data), "--out", str(tmp_path), "--image-size", "48"]) == 0
    questions = read_question_set(tmp_path / "questions.jsonl")
    kinds = Counter(question.kind for question in questions)
    assert {"describe", "presence", "naming", "colour", "direction", "movement", "scene change", "order"} == set(kinds)
    for question in questions:
        assert all(path.is_file() for path in question.media)
    for kind in ("presence", "scene change"):
        answers = Counter(question.answers[0] for question in questions if question.kind == kind)
        assert answers["Yes."] == answers["No."] > 0
    photos = [question.media[0].stem for question in questions if question.kind == "describe"]
    assert photos
    assert all(split_of(f"{stem}.jpg") == "test" for stem in photos)
    assert cv2.imread(str(questions[0].media[0])).shape == (48, 48, 3)


def test_the_first_scene_is_the_answer(data, tmp_path):
    lines = [line for line in QuestionFile(data, tmp_path, split="test", image_size=32, seed=1).lines() if line["kind"] == "order"]
    assert {line["question"] for line in lines} == {"Which comes first, the cup or the chair?", "Which comes first, the chair or the cup?"}
    assert {line["answers"][0] for line in lines} == {"The cup.", "The chair."}
    first_named = [line["answers"][0] == f"The {line['question'].split(' the ')[1].split(' or')[0]}." for line in lines]
    assert 0.2 < np.mean(first_named) < 0.8  # the order of the words does not tell


def test_the_same_seed_gives_the_same_file(data, tmp_path):
    made = []
    for folder, seed in (("a", 0), ("b", 0), ("c", 1)):
        made.append([json.dumps(line) for line in QuestionFile(data, tmp_path / folder, split="validation", image_size=32, seed=seed).lines()])
    assert made[0] == made[1] != made[2]
    moving = sorted((tmp_path / "a" / "frames").glob("moving-*"))
    assert moving
    assert all(path.read_bytes() == (tmp_path / "b" / "frames" / path.name).read_bytes() for path in moving)


def test_no_data_is_told(tmp_path, capsys):
    assert main(["--data", str(tmp_path), "--out", str(tmp_path / "out")]) == 1
    assert "captions.tsv is missing" in capsys.readouterr().err
    assert not (tmp_path / "out" / "questions.jsonl").exists()
