"""What the command line asks of the runtime.

Plain values; their legal ranges are checked by what uses them.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class AskRequest:
    """`redvillm ask`. None means the default of the bundle, or of the machine."""

    bundle: str
    clip: str
    questions: tuple[str, ...]
    num_frames: int | None
    max_new_tokens: int
    temperature: float
    top_p: float
    seed: int
    threads: int | None
    as_json: bool
    target: str = "cpu"


@dataclass(frozen=True, kw_only=True)
class LiveRequest:
    """`redvillm live`.

    `every_s` makes the questions standing ones and is how often alerts look; `duration_s` None runs until it is stopped or the source ends.
    """

    bundle: str
    source: str
    questions: tuple[str, ...]
    alerts: tuple[str, ...]
    every_s: float | None
    max_evidence_age_s: float
    rate_hz: float
    max_new_tokens: int
    threads: int | None
    duration_s: float | None
    loop: bool
    as_json: bool
    gate: Literal["duplicates", "none"] = "duplicates"
    window: Literal["rolling", "memory"] = "rolling"
    speed: Literal["own", "max"] = "own"
    record: str | None = None
    target: str = "cpu"
