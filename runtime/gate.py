"""The gate: which frames are worth encoding.

A policy sees the squashed pixels before they are encoded and may refuse them with a reason. Knows pixels; does not know the window.
"""

from typing import Protocol

from redvillm.runtime.drops import DropReason
from redvillm.runtime.frame import Pixels


class Gate(Protocol):
    """Decides about one frame after the other, in order; one thread owns it."""

    def judge(self, pixels: Pixels) -> DropReason | None:
        """Return why the frame, uint8 [size, size, 3] RGB, is not worth encoding, or None to let it through."""


class PassAllGate:
    """Lets every frame through."""

    def judge(self, pixels: Pixels) -> DropReason | None:  # noqa: ARG002
        """Return None."""
        return None
