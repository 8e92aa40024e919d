"""Which family a checkpoint belongs to, by its own configuration.

Knows the names of families; does not know how one is taken apart.
"""

from typing import Any, Protocol, cast

from torch import nn

from redvillm.errors import ExportError
from redvillm.export.families import idefics3, internvl, llava, qwen_vl
from redvillm.export.image_llm import ImageLLM, Processing, TakeOptions


class Family(Protocol):
    """What the module of a family holds."""

    @property
    def MODEL_TYPES(self) -> tuple[str, ...]:  # noqa: N802 (a constant of the module)
        """The types that it knows, as transformers names them."""

    @staticmethod
    def language_of(model: Any) -> nn.Module:
        """Return the text model of a model of transformers, without its head."""

    @staticmethod
    def take_apart(model: Any, processing: Processing, options: TakeOptions, /) -> ImageLLM:
        """Return the parts of a model of transformers."""


FAMILIES = tuple(cast(Family, module) for module in (llava, idefics3, internvl, qwen_vl))


def family_of(model_type: str) -> Family:
    """Return the family that knows models of a type (transformers' model_type).

    Raises:
        ExportError: no family knows it.
    """
    for family in FAMILIES:
        if model_type in family.MODEL_TYPES:
            return family
    known = ", ".join(name for family in FAMILIES for name in family.MODEL_TYPES)
    raise ExportError(f"no family of redvillm knows models of the type {model_type!r:.60}; known are {known}")
