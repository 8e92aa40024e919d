"""Reading the image folders and splitting by image."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redvillm.errors import OptionsError
from redvillm.training.datasets import plain_class_name, read_caltech101, read_flickr8k, split_of, tidy_caption


def test_captions_become_sentences():
    assert tidy_caption("a child in a pink dress is climbing up a set of stairs in an entry way .") == (
        "A child in a pink dress is climbing up a set of stairs in an entry way."
    )
    assert tidy_caption("Dogs , cats  and birds") == "Dogs, cats and birds."


@given(st.text(max_size=60))
def test_any_caption_ends_with_one_full_stop_and_has_no_double_space(text):
    tidy = tidy_caption(text)
    assert tidy.endswith(".")
    assert not tidy.endswith("..")
    assert "  " not in tidy


def test_splits_have_their_shares_and_never_move():
    splits = [split_of(f"image_{number}.jpg") for number in range(5000)]
    assert splits == [split_of(f"image_{number}.jpg") for number in range(5000)]
    assert 0.04 < splits.count("test") / 5000 < 0.08
    assert 0.04 < splits.count("validation") / 5000 < 0.08


def test_only_images_that_exist_are_listed(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.jpg").touch()
    (tmp_path / "captions.tsv").write_text("a.jpg\tA dog .\na.jpg\tTwo dogs\nb.jpg\tA cat .\n")
    (image,) = read_flickr8k(tmp_path)
    assert image.captions == ("A dog.", "Two dogs.")
    with pytest.raises(OptionsError, match=r"captions\.tsv"):
        read_flickr8k(tmp_path / "images")


def test_class_folders_become_plain_words(tmp_path):
    (tmp_path / "crocodile_head").mkdir()
    (tmp_path / "crocodile_head" / "image_0001.jpg").touch()
    (image,) = read_caltech101(tmp_path)
    assert image.class_name == "crocodile"
    assert plain_class_name("sea_turtle") == "sea turtle"
