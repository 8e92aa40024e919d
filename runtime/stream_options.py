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
    """

    rate_hz: float = 8.0
    loop: bool = False
    open_timeout_s: float = 10.0
    read_timeout_s: float = 5.0
    max_age_s: float = 1.0
    first_frame_timeout_s: float = 10.0
    give_up_after_s: float = 60.0

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            OptionsError: a value outside its range.
        """
        for name, (lowest, highest) in _RANGES.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not lowest <= value <= highest:
                raise OptionsError(f"{name} is {value!r:.40}; give a number from {lowest:g} to {highest:g}")

    @property
    def limits(self) -> SourceLimits:
        """The part of the options that concerns the source itself."""
        return SourceLimits(open_timeout_s=self.open_timeout_s, read_timeout_s=self.read_timeout_s, loop=self.loop)
