"""What was run to make an answer: counts and effective settings.

Knows plain values only.
"""

from dataclasses import dataclass
from typing import Literal

from redvillm.runtime.options import GenerationOptions


@dataclass(frozen=True, kw_only=True)
class AnswerStats:
    """Echo of the run.

    Attributes:
        num_visual_tokens: visual tokens in the prompt.
        num_prefix_tokens: system prompt and visual tokens, as they lie in the cache.
        prefix_reused: whether the cache held them already.
        num_new_tokens: tokens of the answer.
        num_draft_tokens: tokens that were drafted; `num_accepted_tokens` of them were what the model said.
        yes_probability: of a question that was judged: the probability of yes beside no.
        finish: `stop` at the end token, `length` at `max_new_tokens`.
        provider: what the decoder runs on.
        threads: threads of the decoder.
        options: the effective generation options.
    """

    num_visual_tokens: int
    num_prefix_tokens: int
    prefix_reused: bool
    num_new_tokens: int
    finish: Literal["stop", "length"]
    provider: str
    threads: int
    options: GenerationOptions
    num_draft_tokens: int = 0
    num_accepted_tokens: int = 0
    yes_probability: float | None = None
