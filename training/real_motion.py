"""`python -m redvillm.training.real_motion`: questions about the direction of motion in windows of real clips, labelled by hand.

The windows are listed here; the clips are named after their files and stay where they are. Each window is also shown mirrored and backwards, which
changes its answer and leaves its pixels real. Nothing here is trained on. Knows labels and files; does not know models.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from redvillm.cli.program import run_program
from redvillm.errors import OptionsError
from redvillm.files import atomic_file
from redvillm.training.clip_questions import OPPOSITE, STAYS
from redvillm.training.exchange import sentence
from redvillm.training.question_clips import ClipWriter
from redvillm.training.views import squash

Pixels = NDArray[np.uint8]
_NUM_FRAMES = 8
_SIZE = 224
_MIRRORED = {"left": "right", "right": "left"}


@dataclass(frozen=True)
class Window:
    """From when to when, in seconds, what moves which way; an empty direction for nothing that moves."""

    clip: str
    start_s: float
    end_s: float
    direction: str


WINDOWS = (
    *(Window("intel_car-detection.mp4", start, end, "up") for start, end in ((4.5, 6.0), (5.0, 7.0), (6.0, 8.0))),
    *(Window("intel_car-detection.mp4", start, end, "down") for start, end in ((24.5, 26.0), (25.0, 27.0), (24.8, 26.8))),
    *(Window("intel_car-detection.mp4", start, end, "") for start, end in ((0.0, 2.0), (10.0, 12.0), (20.0, 22.0), (28.0, 30.0))),
    *(Window("intel_prev_fruit-vegetable.gif", start, end, "left") for start, end in ((0.4, 1.2), (1.0, 2.5), (3.2, 4.5), (4.5, 6.0))),
    *(Window("intel_prev_bolt-multi-size.gif", start, end, "right") for start, end in ((0.2, 1.0), (0.5, 1.3), (0.9, 1.4))),
    Window("intel_prev_person-bicycle-car.gif", 0.0, 1.6, "up"),
    Window("intel_prev_person-bicycle-car.gif", 2.0, 3.28, "left"),
)


def read_window(folder: Path, window: Window) -> Pixels:
    """Return evenly spread frames of a window, uint8 [8, 224, 224, 3].

    Raises:
        OptionsError: the clip is not there, or is shorter.
    """
    capture = cv2.VideoCapture(str(folder / window.clip))
    try:
        fps = capture.get(cv2.CAP_PROP_FPS)
        wanted = [round(time_s * fps) for time_s in np.linspace(window.start_s, window.end_s, _NUM_FRAMES, endpoint=False)] if fps > 0 else [0]
        frames, number = {}, 0
        while number <= wanted[-1]:
            decoded, frame = capture.read()
            if not decoded:
                raise OptionsError(f"{folder / window.clip} cannot be read as a video of {window.end_s:g} s")
            if number in wanted:
                frames[number] = squash(np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), dtype=np.uint8), _SIZE)
            number += 1
    finally:
        capture.release()
    return np.stack([frames[number] for number in wanted])


def variants(frames: Pixels, direction: str) -> Iterator[tuple[str, Pixels, str]]:
    """Yield name, frames and direction: as they are, mirrored, backwards, and both."""
    for name, mirrored, backwards in (("plain", False, False), ("mirrored", True, False), ("backwards", False, True), ("both", True, True)):
        shown, way = frames, direction
        if mirrored:
            shown, way = shown[:, :, ::-1], _MIRRORED.get(way, way)
        if backwards:
            shown, way = shown[::-1], OPPOSITE[way]
        yield name, np.ascontiguousarray(shown), way


def write_questions(clips: Path, out: Path, windows: Sequence[Window] = WINDOWS) -> int:
    """Write questions.jsonl with its frames; return the number of questions."""
    writer, lines = ClipWriter(out, _SIZE, seed=0), []
    for number, window in enumerate(windows):
        for name, frames, way in variants(read_window(clips, window), window.direction):
            names = writer.write(f"{number:02d}-{name}", frames)
            answers = [sentence(way)] if way else [STAYS, "Nowhere."]
            lines.append({"frames": names, "kind": "direction, real clips", "question": "Which way does it move?", "answers": answers})
    with atomic_file(out / "questions.jsonl") as temporary:
        temporary.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return len(lines)


def main(arguments: list[str] | None = None) -> int:
    """Write the questions; return 0, or 1 after an error."""
    parser = argparse.ArgumentParser(prog="python -m redvillm.training.real_motion", description="Write questions about motion in real clips.")
    parser.add_argument("--clips", type=Path, required=True, metavar="FOLDER", help="folder of the clips")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where questions.jsonl and its frames go")
    given = parser.parse_args(arguments)

    def write() -> int:
        print(f"{write_questions(given.clips, given.out)} questions written to {given.out / 'questions.jsonl'}")
        return 0

    return run_program(write)


if __name__ == "__main__":
    sys.exit(main())
