"""Windows of real clips: which frames are taken, and which way things move when the window is mirrored or shown backwards."""

import cv2
import numpy as np
import pytest

from redvillm.errors import OptionsError
from redvillm.question_set import read_question_set
from redvillm.training.real_motion import WINDOWS, Window, main, read_window, variants, write_questions


@pytest.fixture
def clips(tmp_path):
    """Four seconds at 10 frames a second: a bright square goes from left to right, 4 pixels a frame; brightness of the corner counts the frames."""
    writer = cv2.VideoWriter(str(tmp_path / "clip.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 10, (224, 224))
    for number in range(40):
        frame = np.zeros((224, 224, 3), np.uint8)
        frame[:64, :64] = number * 6
        frame[120:160, 20 + 4 * number : 50 + 4 * number] = 255
        writer.write(frame)
    writer.release()
    return tmp_path


def numbers(frames):
    return [round(float(frame[8:56, 8:56].mean()) / 6) for frame in frames]


def centres(frames):
    return [float((np.arange(224) * (frame[120:160].mean((0, 2)) > 128)).sum() / (frame[120:160].mean((0, 2)) > 128).sum()) for frame in frames]


def test_frames_are_those_of_the_window(clips):
    assert numbers(read_window(clips, Window("clip.avi", 1.0, 2.6, "right"))) == [10, 12, 14, 16, 18, 20, 22, 24]


def test_each_variant_moves_the_way_it_says(clips):
    frames = read_window(clips, Window("clip.avi", 0.0, 3.2, "right"))
    found = {name: (way, np.sign(centres(shown)[-1] - centres(shown)[0])) for name, shown, way in variants(frames, "right")}
    assert found == {"plain": ("right", 1), "mirrored": ("left", -1), "backwards": ("left", -1), "both": ("right", 1)}
    assert [way for _, _, way in variants(frames, "up")] == ["up", "up", "down", "down"]
    assert {way for _, _, way in variants(frames, "")} == {""}


def test_a_file_has_four_questions_a_window(clips, tmp_path):
    windows = (Window("clip.avi", 0.0, 3.2, "right"), Window("clip.avi", 1.0, 2.0, ""))
    assert write_questions(clips, tmp_path / "out", windows) == 8
    questions = read_question_set(tmp_path / "out" / "questions.jsonl")
    assert [question.answers[0] for question in questions[:4]] == ["Right.", "Left.", "Left.", "Right."]
    assert all(path.is_file() for question in questions for path in question.media)


def test_missing_and_short_clips_are_told(clips, tmp_path, capsys):
    with pytest.raises(OptionsError, match="video of 9 s"):
        read_window(clips, Window("clip.avi", 1.0, 9.0, "up"))
    assert main(["--clips", str(clips), "--out", str(tmp_path / "none")]) == 1
    assert WINDOWS[0].clip in capsys.readouterr().err
