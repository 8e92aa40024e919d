"""A camera of this machine, by index or device path.

Knows cameras; does not know threads or reconnecting.
"""

import time
from pathlib import Path

from redvillm.errors import SourceLostError, SourceNotFoundError
from redvillm.runtime.frame import Frame
from redvillm.runtime.opencv import Capture
from redvillm.runtime.source import Mark, SourceLimits


class CameraSource:
    """A camera: frames come in real time, and it may be unplugged and come back."""

    is_paced = False
    can_return = True

    def __init__(self, camera: int | str, limits: SourceLimits) -> None:
        self.name = f"camera {camera}"
        self._camera = camera
        self._limits = limits
        self._capture: Capture | None = None

    def open(self) -> None:
        """Open the camera.

        Raises:
            SourceNotFoundError: no such camera, another program holds it, or it may not be used.
        """
        self.close()
        capture = Capture(self._camera, open_timeout_s=self._limits.open_timeout_s, read_timeout_s=self._limits.read_timeout_s)
        if not capture.is_open:
            capture.close()
            present = ", ".join(sorted(str(path) for path in Path("/dev").glob("video*"))) or "none"
            raise SourceNotFoundError(
                f"{self.name} cannot be opened: it is absent, held by another program, or not permitted (group 'video'). "
                f"Cameras of this machine: {present}; 'redvillm doctor' tells more"
            )
        self._capture = capture

    def grab(self) -> Mark | None:
        """Wait for the next frame.

        Raises:
            SourceLostError: the camera delivers no more.
        """
        if self._capture is None or self._capture.grab() is None:
            raise SourceLostError(f"{self.name} delivers no more frames: unplugged or switched off? Check its cable and power")
        return Mark(None)

    def retrieve(self) -> Frame | None:
        """Decode the frame last grabbed; None when it is damaged."""
        pixels = None if self._capture is None else self._capture.retrieve()
        return None if pixels is None else Frame(pixels, time.perf_counter(), is_bgr=True)

    def close(self) -> None:
        """Release the camera."""
        if self._capture is not None:
            self._capture.close()
            self._capture = None
