"""What a measured engine must do, and what a measurement is.

Every engine runs in a process of its own, so that its memory is its own. Knows no engine.
"""

from dataclasses import dataclass, field
from typing import Protocol

# Stages in the order of the report. Milliseconds; a stage that an engine does not have is left out of its measurement.
STAGES = (
    ("decode_ms", "decode"),
    ("preprocess_ms", "preprocess"),
    ("encode_ms", "encode"),
    ("pool_ms", "pool"),
    ("align_ms", "align"),
    ("perception_ms", "perception, wall"),
    ("prefill_ms", "prefill, visual prefix"),
    ("question_ms", "question to first token"),
    ("prompt_ms", "whole prompt to first token"),
    ("per_token_ms", "per token (TPOT)"),
    ("ttft_ms", "TTFT, from the file"),
    ("frame_to_first_token_ms", "newest frame to first token"),
    ("frame_to_answer_ms", "newest frame to last token"),
    ("total_ms", "total"),
    ("second_question_ttft_ms", "TTFT, next question"),
)


@dataclass(frozen=True, kw_only=True)
class Task:
    """One answer: exactly `num_new_tokens` greedy tokens, the end token notwithstanding, so that all engines do equal work."""

    clip: str
    question: str
    num_frames: int
    num_new_tokens: int


@dataclass(frozen=True)
class Measurement:
    """Milliseconds by stage (the keys of STAGES), the text, and frames/s of the vision side (preprocess, encode, pool; without decoding)."""

    stages_ms: dict[str, float]
    text: str
    frames_per_s: float


@dataclass(frozen=True)
class Description:
    """What really runs: provider or device, precision, threads, versions."""

    engine: str
    provider: str
    precision: str
    threads: int
    versions: dict[str, str] = field(default_factory=dict)


class Engine(Protocol):
    """A Video LLM that can be timed."""

    def describe(self) -> Description:
        """Say what really runs."""
        ...

    def measure(self, task: Task) -> Measurement:
        """Answer once, from the file to the last token, with nothing kept from an earlier call."""
        ...
