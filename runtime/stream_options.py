"""Options of a live stream.

Knows legal values; does not know what they do.
"""

import os
from dataclasses import dataclass
from typing import Literal

from redvillm.errors import OptionsError
from redvillm.runtime.gate import DEFAULT_THRESHOLD
from redvillm.runtime.source import SourceLimits
from redvillm.runtime.trace_format import TRACE_SUFFIX

_RANGES: dict[str, tuple[float, float]] = {
    "rate_hz": (0.01, 1000),
    "open_timeout_s": (0.1, 3600),
    "read_timeout_s": (0.1, 3600),
    "max_age_s": (0.01, 3600),
    "first_frame_timeout_s": (0.1, 3600),
    "give_up_after_s": (0, 86400),
    "prefill_every_s": (0, 3600),
    "max_evidence_age_ms": (0, 3_600_000),
    "gate_threshold": (0, 255),
    "refresh_s": (0, 86400),
    "idle_rate_hz": (0.01, 1000),
    "memory_chunks": (2, 4096),
    "record_max_bytes": (1 << 16, 1 << 50),
}
_WORDS: dict[str, tuple[str, ...]] = {"gate": ("duplicates", "none"), "window": ("rolling", "memory"), "speed": ("own", "max")}
_WHOLE = ("memory_chunks", "record_max_bytes")


@dataclass(frozen=True, kw_only=True)
class StreamOptions:
    """How a live source is read.

    Attributes:
        rate_hz: frames per second that are looked at; the window of T frames then spans about T / rate_hz seconds.
        loop: a file starts again at its end.
        open_timeout_s: longest wait for a camera or an address to open.
        read_timeout_s: longest wait for the next frame of an address.
        max_age_s: a frame that waited longer before perception took it is dropped as stale.
        first_frame_timeout_s: longest wait of a question for the first frame.
        give_up_after_s: how long a camera or an address that vanished is tried again; 0 gives up at once.
        prefill_in_background: put the newest window into the language model's cache while nobody asks; a question then pays for its own tokens only.
        prefill_every_s: seconds between the starts of two such prefills, at least.
        max_evidence_age_ms: a question answers from the window in the cache while that was seen to be true at most so long ago, else from the newest.
        gate: `duplicates` encodes no frame that looks like the last encoded one; `none` encodes every frame that is looked at.
        gate_threshold: by how many of 256 levels one small part of the picture must differ.
        refresh_s: a frame that looks the same is encoded all the same after so long.
        idle_rate_hz: frames per second that are looked at while the whole window looks the same; a change is then seen so much later.
        window: `rolling` is the last T frames; `memory` puts chunks of earlier frames before them.
        memory_chunks: how many chunks at most, K; one more halves them.
        speed: `own` plays a file or a trace as fast as it was taken and samples by the clock on the wall; `max` as fast as it is perceived, and
            samples by the time of the file. Cameras and iterators have their own speed only.
        record: a file, new, into which what perception is offered is written, to be played again; its name ends in .rvtrace.
        record_max_bytes: the recording stops before that file grows larger.
    """

    rate_hz: float = 8.0
    loop: bool = False
    open_timeout_s: float = 10.0
    read_timeout_s: float = 5.0
    max_age_s: float = 1.0
    first_frame_timeout_s: float = 10.0
    give_up_after_s: float = 60.0
    prefill_in_background: bool = True
    prefill_every_s: float = 0.5
    max_evidence_age_ms: float = 1000.0
    gate: Literal["duplicates", "none"] = "duplicates"
    gate_threshold: float = DEFAULT_THRESHOLD
    refresh_s: float = 30.0
    idle_rate_hz: float = 2.0
    window: Literal["rolling", "memory"] = "rolling"
    memory_chunks: int = 8
    speed: Literal["own", "max"] = "own"
    record: str | os.PathLike[str] | None = None
    record_max_bytes: int = 1 << 30

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            OptionsError: a value outside its range.
        """
        for name, (lowest, highest) in _RANGES.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not lowest <= value <= highest:
                raise OptionsError(f"{name} is {value!r:.40}; give a number from {lowest:g} to {highest:g}")
        for name in _WHOLE:
            if not isinstance(getattr(self, name), int):
                raise OptionsError(f"{name} is {getattr(self, name)!r:.40}; give a whole number")
        for name, words in _WORDS.items():
            if getattr(self, name) not in words:
                raise OptionsError(f"{name} is {getattr(self, name)!r:.40}; give {' or '.join(map(repr, words))}")
        if self.record is not None and not (isinstance(self.record, str | os.PathLike) and str(self.record).endswith(TRACE_SUFFIX)):
            raise OptionsError(f"record is {self.record!r:.80}; give the name of a new file that ends in {TRACE_SUFFIX}, or None")
        for name in ("loop", "prefill_in_background"):
            if not isinstance(getattr(self, name), bool):
                raise OptionsError(f"{name} is {getattr(self, name)!r:.40}; give True or False")

    @property
    def limits(self) -> SourceLimits:
        """The part of the options that concerns the source itself."""
        return SourceLimits(open_timeout_s=self.open_timeout_s, read_timeout_s=self.read_timeout_s, loop=self.loop)
