"""Files of questions about videos, for training and evaluation: JSON Lines, one question a line.

    {"video": "clips/dog.mp4", "kind": "presence", "question": "Is there a dog?", "answers": ["Yes."]}
    {"frames": ["a.jpg", "b.jpg"], "kind": "describe", "question": "What is happening?", "answers": ["A dog runs.", "A dog is running."]}

Paths are relative to the file and stay inside its folder. Knows the form; does not open videos.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from redvillm.errors import OptionsError

DESCRIBE = "describe"  # the kind whose answers are captions, all of them good
_KEYS = {"video", "frames", "kind", "question", "answers"}
_MAX_LINE_CHARS = 1 << 20
_MAX_FRAMES = 4096


@dataclass(frozen=True)
class VideoQuestion:
    """One question; `media` is one video file, or the images that are its frames, with `is_frames` telling which.

    Attributes:
        media: paths, absolute.
        is_frames: whether `media` are images.
        kind: groups questions in reports.
        question: what is asked.
        answers: any of them is right; of kind "describe", reference captions.
    """

    media: tuple[Path, ...]
    is_frames: bool
    kind: str
    question: str
    answers: tuple[str, ...]


def read_question_set(path: Path) -> tuple[VideoQuestion, ...]:
    """Read all questions of a file, in order.

    Raises:
        OptionsError: not readable, no question, or a line that is not of the form; the message names the line.
    """
    try:
        questions = tuple(_read_lines(path))
    except (OSError, UnicodeDecodeError) as error:
        raise OptionsError(f"{path} cannot be read as a file of questions ({error}); it is JSON Lines in UTF-8, one question a line") from error
    if not questions:
        raise OptionsError(f"{path} has no question; it is JSON Lines, one question a line")
    return questions


def _read_lines(path: Path) -> Iterator[VideoQuestion]:
    with path.open(encoding="utf-8") as stream:
        number = 0
        while line := stream.readline(_MAX_LINE_CHARS):
            number += 1
            if len(line) == _MAX_LINE_CHARS:
                raise OptionsError(f"{path}, line {number}: longer than {_MAX_LINE_CHARS} characters; one question a line")
            if line.strip():
                try:
                    yield _parse(line, path.parent.absolute())
                except (ValueError, TypeError, RecursionError) as error:
                    raise OptionsError(f"{path}, line {number}: {error}") from error


def _parse(line: str, folder: Path) -> VideoQuestion:
    values = json.loads(line)
    if not isinstance(values, dict):
        raise ValueError("an object is wanted: {...}")
    if unknown := sorted(values.keys() - _KEYS):
        raise ValueError(f"unknown key {unknown[0]!r:.40}; the keys are {', '.join(sorted(_KEYS))}")
    if ("video" in values) == ("frames" in values):
        raise ValueError("give either 'video', a file, or 'frames', a list of images")
    is_frames = "frames" in values
    media = _texts(values, "frames") if is_frames else (_text(values, "video"),)
    if len(media) > _MAX_FRAMES:
        raise ValueError(f"{len(media)} frames; at most {_MAX_FRAMES} are taken")
    return VideoQuestion(
        tuple(_inside(folder, name) for name in media), is_frames, _text(values, "kind"), _text(values, "question"), _texts(values, "answers")
    )


def _text(values: dict[str, Any], key: str) -> str:
    value = values.get(key)
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{key!r} is {value!r:.40}; a text is wanted")
    return value


def _texts(values: dict[str, Any], key: str) -> tuple[str, ...]:
    value = values.get(key)
    if not isinstance(value, list) or not value or not all(isinstance(item, str) and item.strip() for item in value):
        raise ValueError(f"{key!r} is {value!r:.40}; a list of texts is wanted, at least one")
    return tuple(value)


def _inside(folder: Path, name: str) -> Path:
    place = PurePosixPath(name)
    if place.is_absolute() or ".." in place.parts or "\0" in name:
        raise ValueError(f"{name!r:.80} leads out of the folder of the file; give a path inside it")
    return folder / place
