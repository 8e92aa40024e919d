"""Options of a live stream.

Knows legal values; does not know what they do.
"""

from dataclasses import dataclass

from redvillm.errors import OptionsError
from redvillm.runtime.source import SourceLimits

_RANGES: dict[str, tuple[float, float]] = {
    "rate_hz": (0.01, 1000),
    "open_timeout_s": (0.1, 3600),
    "read_timeout_s": (0.1, 3600),
    "max_age_s": (0.01, 3600),
    "first_frame_timeout_s": (0.1, 3600),
    "give_up_after_s": (0, 86400),
    "prefill_every_s": (0, 3600),
    "max_evidence_age_ms": (0, 3_600_000),
}


@dataclass(frozen=True, kw_only=True)
class StreamOptions:
    """How a live source is read.

    Attributes:
        rate_hz: frames per second that enter the window; the window of T frames then spans about T / rate_hz seconds.
        loop: a file starts again at its end.
        open_timeout_s: longest wait for a camera or an address to open.
        read_timeout_s: longest wait for the next frame of an address.
        max_age_s: a frame that waited longer before perception took it is dropped as stale.
        first_frame_timeout_s: longest wait of a question for the first frame.
        give_up_after_s: how long a camera or an address that vanished is tried again; 0 gives up at once.
        prefill_in_background: put the newest window into the language model's cache while nobody asks; a question then pays for its own tokens only.
        prefill_every_s: seconds between the starts of two such prefills, at least.
        max_evidence_age_ms: a question answers from the window in the cache while its newest frame is at most so old, else from the newest.
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

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            OptionsError: a value outside its range.
        """
        for name, (lowest, highest) in _RANGES.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not lowest <= value <= highest:
                raise OptionsError(f"{name} is {value!r:.40}; give a number from {lowest:g} to {highest:g}")
        for name in ("loop", "prefill_in_background"):
            if not isinstance(getattr(self, name), bool):
                raise OptionsError(f"{name} is {getattr(self, name)!r:.40}; give True or False")

    @property
    def limits(self) -> SourceLimits:
        """The part of the options that concerns the source itself."""
        return SourceLimits(open_timeout_s=self.open_timeout_s, read_timeout_s=self.read_timeout_s, loop=self.loop)
