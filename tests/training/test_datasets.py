"""Reading the image folders and splitting by image."""

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redvillm.errors import OptionsError
from redvillm.training.datasets import plain_class_name, read_caltech101, read_flickr8k, split_of, tidy_caption


def test_captions_become_sentences():
    assert tidy_caption("a child in a pink dress is climbing up a set of stairs in an entry way .") == (
        "A child in a pink dress is climbing up a set of stairs in an entry way."
    )
    assert tidy_caption("Dogs , cats  and birds") == "Dogs, cats and birds."
    assert tidy_caption("\ta dog .  . \n") == "A dog."


@settings(deadline=None)
@given(st.text(max_size=60))
def test_any_caption_ends_with_one_full_stop_and_has_no_double_space(text):
    tidy = tidy_caption(text)
    assert tidy.endswith(".")
    assert not tidy.endswith("..")
    assert "  " not in tidy
    assert tidy_caption(tidy) == tidy


@settings(deadline=None)
@given(st.lists(st.text("abcXYZ", min_size=1), min_size=1, max_size=6))
def test_the_words_of_a_caption_stay(words):
    tidy = tidy_caption("  ".join(words) + " .")
    assert tidy[:-1].split(" ") == [words[0][0].upper() + words[0][1:], *words[1:]]


def test_splits_have_their_shares():
    splits = [split_of(f"image_{number}.jpg") for number in range(5000)]
    assert set(splits) == {"train", "validation", "test"}
    assert 0.04 < splits.count("test") / 5000 < 0.08
    assert 0.04 < splits.count("validation") / 5000 < 0.08


@settings(deadline=None)
@given(st.text(max_size=30))
def test_a_photo_never_moves_to_another_split(name):
    percent = int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) % 100
    assert split_of(name) == ("test" if percent < 6 else "validation" if percent < 12 else "train")


def test_only_images_that_exist_are_listed(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.jpg").touch()
    (tmp_path / "captions.tsv").write_text("a.jpg\tA dog .\na.jpg\tTwo dogs\nb.jpg\tA cat .\n\n")
    (image,) = read_flickr8k(tmp_path)
    assert image.path == tmp_path / "images" / "a.jpg"
    assert image.captions == ("A dog.", "Two dogs.")
    assert image.class_name == ""
    assert image.split == split_of("a.jpg")
    with pytest.raises(OptionsError, match=r"captions\.tsv"):
        read_flickr8k(tmp_path / "images")


def test_photos_come_in_the_order_of_their_names_whatever_the_order_of_the_lines(tmp_path):
    (tmp_path / "images").mkdir()
    names = ["b.jpg", "a.jpg", "c.jpg"]
    for name in names:
        (tmp_path / "images" / name).touch()
    (tmp_path / "captions.tsv").write_text("".join(f"{name}\tOf {name[0]}\n" for name in (*names, *names)))
    images = read_flickr8k(tmp_path)
    assert [image.path.name for image in images] == ["a.jpg", "b.jpg", "c.jpg"]
    assert [image.captions for image in images] == [(f"Of {letter}.",) * 2 for letter in "abc"]


def test_class_folders_become_plain_words(tmp_path):
    (tmp_path / "crocodile_head").mkdir()
    (tmp_path / "crocodile_head" / "image_0001.jpg").touch()
    (tmp_path / "crocodile_head" / "notes.txt").touch()
    (image,) = read_caltech101(tmp_path)
    assert image.class_name == "crocodile"
    assert image.captions == ()
    assert image.split == split_of("crocodile_head/image_0001.jpg")


@pytest.mark.parametrize(
    ("folder", "words"),
    [("sea_turtle", "sea turtle"), ("Faces", "face"), ("Leopards", "leopard"), ("garfield", "Garfield"), ("BACKGROUND_Google", ""), ("cup", "cup")],
)
def test_a_class_has_the_name_that_a_person_would_use(folder, words):
    assert plain_class_name(folder) == words


def test_photos_of_one_number_in_two_classes_are_split_each_on_its_own(tmp_path):
    for number in range(40):
        (tmp_path / f"class_{number}").mkdir()
        (tmp_path / f"class_{number}" / "image_0001.jpg").touch()
    images = read_caltech101(tmp_path)
    assert len(images) == 40
    assert {image.split for image in images} > {"train"}


def test_no_class_folder_is_no_image(tmp_path):
    assert read_caltech101(tmp_path / "nothing") == []
