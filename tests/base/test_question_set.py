import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redvillm.errors import OptionsError
from redvillm.question_set import read_caption_set, read_question_set

VIDEO = {"video": "clips/dog.mp4", "kind": "presence", "question": "Is there a dog?", "answers": ["Yes."]}
FRAMES = {"frames": ["a.jpg", "b/c.png"], "kind": "describe", "question": "What is it?", "answers": ["A dog.", "Ein Hund läuft."]}


def write(folder, *lines):
    path = folder / "questions.jsonl"
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines), encoding="utf-8")
    return path


def test_both_forms_are_read_in_order(tmp_path):
    first, second = read_question_set(write(tmp_path, VIDEO, "", FRAMES, ""))
    assert (first.media, first.is_frames, first.kind) == ((tmp_path / "clips/dog.mp4",), False, "presence")
    assert (second.media, second.is_frames) == ((tmp_path / "a.jpg", tmp_path / "b/c.png"), True)
    assert second.answers == ("A dog.", "Ein Hund läuft.")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"colour": "red"}, "unknown key 'colour'"),
        ({"frames": ["a.jpg"]}, "either 'video'"),
        ({"video": None}, "'video' is None"),
        ({"video": ""}, "a text is wanted"),
        ({"video": "/etc/passwd"}, "out of the folder"),
        ({"video": "a/../../b.mp4"}, "out of the folder"),
        ({"video": "a\0b"}, "out of the folder"),
        ({"kind": 3}, "'kind' is 3"),
        ({"question": "  "}, "'question'"),
        ({"answers": []}, "at least one"),
        ({"answers": "Yes."}, "list of texts"),
        ({"answers": ["Yes.", 1]}, "list of texts"),
    ],
)
def test_a_wrong_line_is_named(tmp_path, change, words):
    with pytest.raises(OptionsError, match="line 2: ") as raised:
        read_question_set(write(tmp_path, VIDEO, VIDEO | change))
    assert words in str(raised.value)


@pytest.mark.parametrize("line", ["[]", "3", "{", '{"video": "a.mp4"', "[" * 100_000, "x" * (1 << 20)])
def test_a_line_that_is_no_object_is_named(tmp_path, line):
    with pytest.raises(OptionsError, match="line 1: "):
        read_question_set(write(tmp_path, line))


def test_no_question_and_no_file_are_told(tmp_path):
    with pytest.raises(OptionsError, match="no question"):
        read_question_set(write(tmp_path, "", " "))
    with pytest.raises(OptionsError, match="cannot be read"):
        read_question_set(tmp_path / "absent.jsonl")
    (tmp_path / "latin.jsonl").write_bytes(b'{"video": "\xe4"}')
    with pytest.raises(OptionsError, match="cannot be read"):
        read_question_set(tmp_path / "latin.jsonl")


values = st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=8), lambda inner: st.lists(inner, max_size=3), max_leaves=5)


@given(st.dictionaries(st.sampled_from(["video", "frames", "kind", "question", "answers", "x"]), values))
def test_any_object_is_read_or_refused_in_words(tmp_path_factory, line):
    folder = tmp_path_factory.mktemp("fuzz")
    try:
        (question,) = read_question_set(write(folder, line))
    except OptionsError:
        return
    assert all(path.is_relative_to(folder) for path in question.media)


def test_captioned_images_are_descriptions(tmp_path):
    path = write(tmp_path, {"image": "a/b.jpg", "captions": ["A dog.", "A big dog."]}, {"image": "c.jpg", "captions": ["A cat."]})
    first, second = read_caption_set(path)
    assert (first.media, first.is_frames, first.kind, first.answers) == ((tmp_path / "a/b.jpg",), True, "describe", ("A dog.", "A big dog."))
    assert second.answers == ("A cat.",)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ({"image": "a.jpg"}, "'captions'"),
        ({"image": "../a.jpg", "captions": ["A dog."]}, "out of the folder"),
        ({"image": "a.jpg", "captions": ["A dog."], "kind": "x"}, "unknown key 'kind'"),
        ({"image": ["a.jpg"], "captions": ["A dog."]}, "'image'"),
    ],
)
def test_a_wrong_captioned_image_is_named_by_its_line(tmp_path, line, words):
    good = {"image": "a.jpg", "captions": ["A dog."]}
    with pytest.raises(OptionsError, match=r"line 2: ") as caught:
        read_caption_set(write(tmp_path, good, line))
    assert words in str(caught.value)


@given(st.binary(max_size=200))
def test_any_bytes_are_captions_or_an_error_in_words(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "any-captions.jsonl"
    path.write_bytes(data)
    with contextlib.suppress(OptionsError):
        read_caption_set(path)
