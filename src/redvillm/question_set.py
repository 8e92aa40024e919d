"""Files of questions about videos, and of captions of images, for training and evaluation: JSON Lines.

    {"video": "clips/dog.mp4", "kind": "presence", "question": "Is there a dog?", "answers": ["Yes."]}
    {"frames": ["a.jpg", "b.jpg"], "kind": "describe", "question": "What is happening?", "answers": ["A dog runs.", "A dog is running."]}

    {"image": "a.jpg", "captions": ["A dog runs.", "A dog is running."]}

Paths are relative to the file and stay inside its folder. Knows the form; does not open videos.
"""

from dataclasses import dataclass
from pathlib import Path

from redvillm.json_lines import JsonObject, check_keys, path_inside, read_json_lines, text, texts

DESCRIBE = "describe"  # the kind whose answers are captions, all of them good
CAPTION_QUESTION = "What is happening?"
_KEYS = frozenset({"video", "frames", "kind", "question", "answers"})
_CAPTION_KEYS = frozenset({"image", "captions"})
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
    return read_json_lines(path, _question, "question")


def read_caption_set(path: Path) -> tuple[VideoQuestion, ...]:
    """Read all captioned images of a file, in order, as questions of kind "describe" about clips of one frame.

    Raises:
        OptionsError: not readable, no image, or a line that is not of the form; the message names the line.
    """
    return read_json_lines(path, _caption, "captioned image")


def _question(values: JsonObject, folder: Path) -> VideoQuestion:
    check_keys(values, _KEYS)
    if ("video" in values) == ("frames" in values):
        raise ValueError("give either 'video', a file, or 'frames', a list of images")
    is_frames = "frames" in values
    media = texts(values, "frames") if is_frames else (text(values, "video"),)
    if len(media) > _MAX_FRAMES:
        raise ValueError(f"{len(media)} frames; at most {_MAX_FRAMES} are taken")
    paths = tuple(path_inside(folder, name) for name in media)
    return VideoQuestion(paths, is_frames, text(values, "kind"), text(values, "question"), texts(values, "answers"))


def _caption(values: JsonObject, folder: Path) -> VideoQuestion:
    check_keys(values, _CAPTION_KEYS)
    image = path_inside(folder, text(values, "image"))
    return VideoQuestion((image,), True, DESCRIBE, CAPTION_QUESTION, texts(values, "captions"))
