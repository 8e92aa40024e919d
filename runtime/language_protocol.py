"""What the language thread needs of a language model; redvillm.runtime.language has the one that is used.

Knows no implementation.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from redvillm.runtime.options import GenerationOptions

if TYPE_CHECKING:
    from redvillm.runtime.language import TokenPiece


class Language(Protocol):
    """What this thread needs of the language model."""

    def try_prefill(self, segments: Sequence[Any], should_cancel: Callable[[], bool]) -> bool:
        """Put system prompt and visual tokens, each segment float32 [K, H], into the cache; False, and no change, when cancelled."""

    def generate(self, question: str, options: GenerationOptions, draft: Sequence[int] = ()) -> "Iterator[TokenPiece]":
        """Answer about what is in the cache; `draft` is a guess at the tokens."""

    def judge(self, question: str) -> "tuple[TokenPiece, float]":
        """Answer by yes or no, with the probability of yes."""

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
