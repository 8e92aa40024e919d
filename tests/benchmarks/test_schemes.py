"""Ways to show a video: the frames that are taken, the tokens that come of them, and the program that compares them."""

import json

import cv2
import numpy as np
import pytest

from redvillm.benchmarks.evaluation.schemes import Scheme, evenly, parse_scheme, show, tiles
from redvillm.errors import OptionsError
from redvillm.runtime.evidence import VisualPrefix


class Counting:
    """An engine whose visual tokens are the mean brightness of each frame, after one of the clip."""

    def watch(self, clip):
        values = [float(frame.mean()) for frame in clip]
        return VisualPrefix((np.array([[np.mean(values)], *[[value] for value in values]], np.float32),))


def frames(count):
    return [np.full((12, 18, 3), number * 10, np.uint8) for number in range(count)]


@pytest.mark.parametrize("text", ["pooled-1", "frames-4", "grid-3"])
def test_ways_are_read_and_written(text):
    assert str(parse_scheme(text)) == text


@pytest.mark.parametrize("text", ["", "grid", "grid-0", "frames-65", "frames--1", "pooled-1x", "tokens-3"])
def test_other_words_are_refused(text):
    with pytest.raises(OptionsError, match="grid-N"):
        parse_scheme(text)


@pytest.mark.parametrize(("count", "wanted", "places"), [(1, 4, [0]), (5, 2, [0, 4]), (5, 3, [0, 2, 4]), (7, 9, list(range(7))), (16, 1, [0])])
def test_frames_are_spread_evenly(count, wanted, places):
    assert [int(frame[0, 0, 0]) // 10 for frame in evenly(frames(count), wanted)] == places


def test_each_way_gives_its_tokens():
    clip = frames(9)
    assert show(Counting(), clip, Scheme("pooled", 3)).visual_tokens[:, 0].tolist() == [40, 0, 40, 80]
    assert show(Counting(), clip, Scheme("frames", 2)).visual_tokens[:, 0].tolist() == [0, 0, 80, 80]
    assert show(Counting(), clip, Scheme("grid", 3)).num_visual_tokens == 2


def test_tiles_are_in_the_order_of_reading():
    picture = tiles(frames(9), 3)
    assert picture.shape == (12, 18, 3)
    assert picture[::4, ::6, 0].tolist() == [[0, 10, 20], [30, 40, 50], [60, 70, 80]]
    assert tiles(frames(2), 2)[::6, ::9, 0].tolist() == [[0, 0], [10, 10]]


def test_the_program_compares_on_one_bundle(tmp_path, capsys):
    pytest.importorskip("gguf")
    pytest.importorskip("matplotlib")
    import tiny_bundle

    from redvillm.benchmarks.evaluation.token_counts import main

    folder = tiny_bundle.write_bundle(tmp_path / "bundle")
    for number, frame in enumerate(frames(4)):
        cv2.imwrite(str(tmp_path / f"{number}.png"), frame)
    lines = [
        {"frames": ["0.png", "1.png", "2.png", "3.png"], "kind": "order", "question": "which?", "answers": ["a"]},
        {"frames": ["3.png"], "kind": "naming", "question": "what?", "answers": ["b"]},
        {"frames": ["3.png"], "kind": "describe", "question": "what?", "answers": ["b"]},
    ]
    (tmp_path / "q.jsonl").write_text("\n".join(map(json.dumps, lines)))
    ways = [word for way in ("pooled-4", "frames-2", "grid-2") for word in ("--show", way)]
    assert main([str(tmp_path / "q.jsonl"), "--model", str(folder), *ways, "--out", str(tmp_path / "out")]) == 0
    line = json.loads(capsys.readouterr().out.splitlines()[-1])
    patches, motion = tiny_bundle.NUM_PATCHES, tiny_bundle.NUM_MOTION
    one = patches + motion + 1
    assert [scheme["num_visual_tokens"] for scheme in line["schemes"]] == [(one + patches + motion + 4) / 2, (2 * one + one) / 2, one]
    assert set(line["schemes"][0]["kinds"]) == {"order", "naming"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"token_counts.json", "token_counts.png"}
    (tmp_path / "described.jsonl").write_text(json.dumps(lines[2]))
    assert main([str(tmp_path / "described.jsonl"), "--model", str(folder)]) == 1
    assert "descriptions only" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([str(tmp_path / "q.jsonl"), "--limit", "0"])
    assert main([str(tmp_path / "q.jsonl"), "--model", str(folder), "--show", "upside-down"]) == 1
    assert "pooled-N" in capsys.readouterr().err
