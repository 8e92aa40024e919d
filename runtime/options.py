"""Options of generating an answer.

Plain values, checked when they are made; knows no decoder.
"""

import math
from dataclasses import dataclass

from redvillm.errors import OptionsError


@dataclass(frozen=True, kw_only=True)
class GenerationOptions:
    """How an answer is generated.

    Attributes:
        max_new_tokens: tokens of the answer at most.
        min_new_tokens: the end token is not chosen before so many tokens; at most max_new_tokens.
        temperature: 0 takes the likeliest token (greedy); larger values flatten the distribution before a token is drawn.
        top_k: draw from the k likeliest tokens only; 0 is all.
        top_p: draw from the smallest set of tokens whose probability reaches p; 1 is all.
        seed: of the draws; the same seed gives the same answer on the same machine.

    Raises:
        OptionsError: a value outside its range.
    """

    max_new_tokens: int = 64
    min_new_tokens: int = 0
    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        _require_integer("max_new_tokens", self.max_new_tokens, smallest=1)
        _require_integer("min_new_tokens", self.min_new_tokens, smallest=0)
        fits = self.min_new_tokens <= self.max_new_tokens
        _require(fits, "min_new_tokens", self.min_new_tokens, f"at most max_new_tokens, {self.max_new_tokens}")
        _require_integer("top_k", self.top_k, smallest=0)
        _require_integer("seed", self.seed, smallest=0)
        _require(_is_number(self.temperature) and 0 <= self.temperature < math.inf, "temperature", self.temperature, "a number from 0 (greedy) on")
        _require(_is_number(self.top_p) and 0 < self.top_p <= 1, "top_p", self.top_p, "above 0 and at most 1")


def _require_integer(name: str, value: object, *, smallest: int) -> None:
    _require(type(value) is int and value >= smallest, name, value, f"a whole number from {smallest} on")


def _is_number(value: object) -> bool:
    return type(value) in (int, float)


def _require(condition: bool, name: str, value: object, legal: str) -> None:
    if not condition:
        raise OptionsError(f"{name} is {value!r:.40}; it must be {legal}")
