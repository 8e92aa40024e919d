"""The images, captions and classes that training reads, split by image.

Knows the folders of Flickr8k and Caltech-101; does not know features, questions or models.
"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from redvillm.errors import OptionsError

_SPLITS = (("test", 6), ("validation", 12))  # upper ends in percent; the rest is for training


@dataclass(frozen=True)
class LabelledImage:
    """An image with its captions (none for a class folder) and its class (empty for a captioned image)."""

    path: Path
    split: str
    captions: tuple[str, ...] = ()
    class_name: str = ""


def split_of(name: str) -> str:
    """Assign an image to a split by the hash of its name, so that it never moves."""
    percent = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") % 100
    return next((split for split, end in _SPLITS if percent < end), "train")


def read_flickr8k(folder: Path) -> list[LabelledImage]:
    """Read `captions.tsv` (image, tab, caption; five lines an image) and list the images that exist.

    Raises:
        OptionsError: the folder has no captions.tsv.
    """
    table = folder / "captions.tsv"
    if not table.is_file():
        raise OptionsError(f"{table} is missing; see docs/training.md for the form of the data")
    captions: dict[str, list[str]] = {}
    for line in table.read_text(encoding="utf-8").splitlines():
        name, _, caption = line.partition("\t")
        if caption.strip(" ."):
            captions.setdefault(name, []).append(tidy_caption(caption))
    paths = {name: folder / "images" / name for name in sorted(captions)}
    return [LabelledImage(path, split_of(name), tuple(captions[name])) for name, path in paths.items() if path.is_file()]


def read_caltech101(folder: Path) -> list[LabelledImage]:
    """List the images of the class folders; the class name becomes plain words."""
    images = sorted(folder.glob("*/*.jpg"))
    return [LabelledImage(path, split_of(f"{path.parent.name}/{path.name}"), class_name=plain_class_name(path.parent.name)) for path in images]


def tidy_caption(caption: str) -> str:
    """Turn a tokenized caption into a sentence: one space between words, none before a mark, one full stop."""
    text = re.sub(r"\s+([.,;:!?])", r"\1", " ".join(caption.split())).rstrip(". ")
    return f"{text[:1].upper()}{text[1:]}."


_CLASS_WORDS = {
    "BACKGROUND_Google": "", "Faces": "face", "Faces_easy": "face", "Leopards": "leopard", "Motorbikes": "motorbike", "airplanes": "airplane",
    "binocular": "binoculars", "bonsai": "bonsai tree", "car_side": "car", "cougar_body": "cougar", "cougar_face": "cougar",
    "crocodile_head": "crocodile", "flamingo_head": "flamingo", "garfield": "Garfield", "hawksbill": "hawksbill turtle", "headphone": "headphones",
    "snoopy": "Snoopy", "water_lilly": "water lily", "yin_yang": "yin yang symbol",
}  # fmt: skip


def plain_class_name(folder: str) -> str:
    """Return the words that a person would use for a class folder."""
    return _CLASS_WORDS.get(folder, folder.replace("_", " ").lower())
