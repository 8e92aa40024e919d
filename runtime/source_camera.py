"""A camera of this machine, by index or device path.

Knows cameras; does not know threads or reconnecting.
"""

import re
import time
from pathlib import Path

from redvillm.errors import OptionsError, SourceLostError, SourceNotFoundError
from redvillm.runtime.frame import Frame
from redvillm.runtime.opencv import Capture
from redvillm.runtime.source import CAME_TO_ITS_END, Mark, SourceLimits

_MAX_INDEX = 99  # OpenCV reads larger ones as the number of a backend, and crashes on negative ones


class CameraSource:
    """A camera: frames come in real time, and it may be unplugged and come back."""

    is_paced = False
    can_return = True
    ending = CAME_TO_ITS_END

    def __init__(self, camera: int | str, limits: SourceLimits) -> None:
        """Take a camera index or a device path.

        Raises:
            OptionsError: an index outside 0 to 99.
        """
        if isinstance(camera, int) and not 0 <= camera <= _MAX_INDEX:
            raise OptionsError(f"camera {camera!r:.40} is not a camera index; give 0 to {_MAX_INDEX}, or a device path such as /dev/video0")
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
        capture = Capture(_target(self._camera), open_timeout_s=self._limits.open_timeout_s, read_timeout_s=self._limits.read_timeout_s)
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


def _target(camera: int | str) -> int | str:
    """Return the index of the camera behind a device path: OpenCV gives a path to FFmpeg, which cannot read cameras."""
    if isinstance(camera, int):
        return camera
    device = re.fullmatch(r"video(\d{1,2})", Path(camera).resolve().name, re.ASCII)
    return camera if device is None else int(device[1])
