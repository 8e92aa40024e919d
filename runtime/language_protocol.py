"""What the language thread needs of a language model; redvillm.runtime.language has the one that is used.

Knows no implementation.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Protocol

from redvillm.runtime.options import GenerationOptions

if TYPE_CHECKING:
    from redvillm.runtime.language import TokenPiece


class Language(Protocol):
    """What this thread needs of the language model."""

    def prefill(self, visual_tokens: Any) -> None:
        """Put system prompt and visual tokens, float32 [K, H], into the cache."""

    def generate(self, question: str, options: GenerationOptions) -> "Iterator[TokenPiece]":
        """Answer about what is in the cache."""

    def check_fits(self, question: str, num_visual_tokens: int, options: GenerationOptions) -> None:
        """Raise QuestionError or ContextOverflowError before anything runs."""

    @property
    def prefix_length_tokens(self) -> int:
        """System prompt and visual tokens in the cache."""

    @property
    def provider(self) -> str:
        """What it runs on."""

    @property
    def threads(self) -> int:
        """Threads it runs with."""
