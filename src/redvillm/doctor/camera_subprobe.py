"""Child process of the doctor: open one camera, read a frame and print {"works": bool, "detail": str}. Knows cv2."""

import json
import sys


def try_camera(index: int) -> tuple[bool, str]:
    """Return whether the camera delivers a frame, and its size or what it refused."""
    import cv2

    capture = cv2.VideoCapture(index)
    try:
        if not capture.isOpened():
            return False, "does not open (in use, no permission, or not a capture device)"
        read, frame = capture.read()
        return (True, f"{frame.shape[1]}x{frame.shape[0]}") if read else (False, "opens but delivers no frame")
    finally:
        capture.release()


if __name__ == "__main__":
    works, detail = try_camera(int(sys.argv[1]))
    sys.stdout.write(json.dumps({"works": works, "detail": detail}) + "\n")
