"""Questions about photos of one object each, from the names of their classes. Knows names and wordings; does not know pixels."""

from collections.abc import Sequence

import numpy as np

from redvillm.training.datasets import LabelledImage
from redvillm.training.exchange import CANNOT_TELL, NO, YES, Exchange, indefinite, sentence, there_is_no
from redvillm.training.wordings import Wordings

_UNKNOWN_SHARE = 0.1
_DESCRIBE_SHARE = 0.3
# classes that a photo of another class may show, or that look alike: none of a group is asked for as absent when another is there
_LOOK_ALIKE = (
    {"cougar", "leopard", "wild cat"}, {"chair", "windsor chair", "wheelchair"}, {"crayfish", "lobster"}, {"lotus", "water lily"},
    {"ketch", "schooner"},
)  # fmt: skip
_ALSO = {
    "airplane": ("plane",), "motorbike": ("motorcycle",), "cellphone": ("cell phone", "mobile phone", "phone"), "ketch": ("sailboat", "sailing boat"),
    "schooner": ("sailing ship",), "cougar": ("puma", "mountain lion"), "rhino": ("rhinoceros",), "binoculars": ("pair of binoculars",),
    "scissors": ("pair of scissors",), "headphones": ("pair of headphones",), "sea horse": ("seahorse",), "soccer ball": ("football",),
    "Garfield": ("garfield cat",), "Snoopy": ("snoopy dog",), "hawksbill turtle": ("hawksbill", "sea turtle", "turtle"), "face": ("person's face",),
    "bonsai tree": ("bonsai",), "yin yang symbol": ("yin yang",), "crayfish": ("crawfish",), "emu": (), "ewer": ("jug", "pitcher"),
    "gramophone": ("phonograph",), "revolver": ("gun", "pistol"), "grand piano": ("piano",), "electric guitar": ("guitar",),
}  # fmt: skip


class ObjectQuestions:
    """What is asked about each photo of a list."""

    def __init__(self, photos: Sequence[LabelledImage], generator: np.random.Generator, wordings: Wordings) -> None:
        self._photos, self._generator, self._wordings = photos, generator, wordings
        self._classes = sorted({photo.class_name for photo in photos})

    def naming(self, number: int) -> Exchange:
        """Ask for the name; true synonyms are right too."""
        return Exchange("naming", self._wordings.ask("naming"), self._names(number))

    def presence(self, number: int) -> list[Exchange]:
        """Ask for the object, and for one that is not there."""
        name = self._photos[number].class_name
        things = ((name, YES), (self.another_class(name), NO))
        return [Exchange("object presence", self._wordings.ask("presence", thing=indefinite(thing)), (answer,)) for thing, answer in things]

    def described(self, number: int) -> list[Exchange]:
        """Ask for a description of a share of the photos; the name is the answer."""
        if self._generator.random() >= _DESCRIBE_SHARE:
            return []
        return [Exchange("naming", self._wordings.ask("describe"), self._names(number))]

    def unknown(self, number: int, share: float = _UNKNOWN_SHARE) -> list[Exchange]:
        """Ask for the colour of another object, or what no picture tells, for a share of the photos."""
        asked = []
        if self._generator.random() < share:
            other = self.another_class(self._photos[number].class_name)
            asked.append(Exchange("absent thing", self._wordings.ask("colour", thing=other), (there_is_no(other), CANNOT_TELL)))
        if self._generator.random() < share:
            asked.append(Exchange("unknowable", self._wordings.ask("unknowable"), (CANNOT_TELL,)))
        return asked

    def another_class(self, name: str) -> str:
        """Return a class that a photo of `name` does not show."""
        alike = {name}.union(*(group for group in _LOOK_ALIKE if name in group))
        others = [other for other in self._classes if other not in alike]
        return str(self._generator.choice(others))

    def _names(self, number: int) -> tuple[str, ...]:
        name = self._photos[number].class_name
        return tuple(sentence(indefinite(one)) for one in (name, *_ALSO.get(name, ())))
