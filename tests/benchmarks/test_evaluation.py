import json
import math
from pathlib import Path

import cv2
import numpy as np
import pytest

from redvillm.benchmarks.evaluation.answers import declines, is_right, normalize
from redvillm.benchmarks.evaluation.evaluator import CONDITIONS, Evaluator
from redvillm.benchmarks.evaluation.measures import caption_scores, majority_share, wilson_interval
from redvillm.benchmarks.evaluation.plot import write_plot
from redvillm.benchmarks.evaluation.request import EvaluationRequest
from redvillm.benchmarks.evaluation.run import spread
from redvillm.benchmarks.evaluation.summary import Evaluation, KindRow, Share, summarize
from redvillm.benchmarks.evaluation.tables import to_markdown
from redvillm.cli import main
from redvillm.errors import OptionsError
from redvillm.question_set import VideoQuestion
from redvillm.runtime.evidence import VisualPrefix


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Yes.", "yes"),
        ("Yes, there is a dog.", "yes"),
        ("no", "no"),
        ("A dog.", "dog"),
        ("The  Sea-Horse!", "sea horse"),
        ("A", "a"),
        ("", ""),
        ("an ant", "ant"),
    ],
)
def test_answers_are_compared_by_their_words(text, wanted):
    assert normalize(text) == wanted


def test_any_accepted_answer_is_right_and_no_other():
    assert is_right("a puppy", ("A dog.", "A puppy."))
    assert not is_right("a cat", ("A dog.", "A puppy."))
    assert not is_right("nothing", ("No.",))
    assert not is_right("", ("No.",))


@pytest.mark.parametrize(
    ("answer", "is_declined"),
    [
        ("I cannot tell.", True),
        ("There is no dog.", True),
        ("I don't know", True),
        ("There is nobody.", False),
        ("A dog.", False),
        ("No.", False),
        ("", False),
    ],
)
def test_not_knowing_is_told_from_an_answer(answer, is_declined):
    assert declines(answer) == is_declined


@pytest.mark.parametrize(("right", "count"), [(0, 1), (1, 1), (7, 13), (0, 20), (20, 20), (913, 1000)])
def test_the_interval_is_wilsons(right, count):
    """Its ends are the shares p whose score test just rejects what was seen: n (seen - p)^2 = z^2 p (1 - p)."""
    seen, z2 = right / count, 1.959964**2
    ends = np.sort(np.roots([count + z2, -2 * count * seen - z2, count * seen**2]).real)
    assert wilson_interval(right, count) == pytest.approx(tuple(ends), abs=1e-9)


def test_nothing_counted_says_nothing():
    assert wilson_interval(0, 0) == (0.0, 1.0)


def test_the_baseline_is_the_best_answer_to_all():
    accepted = [frozenset({"yes"}), frozenset({"no"}), frozenset({"yes", "sure"}), frozenset({"left"})]
    assert majority_share(accepted) == 0.5
    assert majority_share([]) == 0.0


def test_captions_are_scored():
    pytest.importorskip("pycocoevalcap", reason="pycocoevalcap is not installed (extra eval)")
    references = [["A dog runs over the grass.", "The dog is running."], ["Two men play chess.", "Men sit at a table"], ["A red boat on a lake"]]
    same = caption_scores([texts[0] for texts in references], references)
    assert same["BLEU-4"] == pytest.approx(1, abs=1e-6)
    assert same["CIDEr"] > 3
    shifted = caption_scores([texts[0] for texts in references[1:] + references[:1]], references)
    assert shifted["BLEU-4"] < 0.1
    assert shifted["CIDEr"] < 0.5


class Looker:
    """An engine that says the mean brightness of what it was shown, and whether it became brighter."""

    def __init__(self):
        self.shown = []

    def watch(self, clip):
        frames = [np.full((4, 4, 3), int(clip.stem), np.uint8)] if isinstance(clip, Path) else clip
        levels = np.array([[frame.mean() for frame in frames]], np.float32)
        return VisualPrefix((levels,))

    def frames(self, path):
        yield np.full((4, 4, 3), int(path.stem), np.uint8)

    def answer(self, prefix, question):
        levels = prefix.segments[0][0]
        self.shown.append((question, tuple(levels)))
        return str(int(levels.mean())) if "bright" in question else ("Yes." if len(levels) > 1 and all(np.diff(levels) > 0) else "No.")

    def likelihood(self, prefix, question, answer):
        return abs(float(prefix.segments[0].mean()) - float(answer.split()[-1]))


def questions_about(folder):
    for name in ("10", "80"):
        cv2.imwrite(str(folder / f"{name}.png"), np.full((4, 4, 3), int(name), np.uint8))
    rising = tuple(folder / f"{level}.png" for level in ("10", "80"))
    return (
        VideoQuestion((Path("50.mp4"),), False, "level", "How bright?", ("50",)),
        VideoQuestion((Path("70.mp4"),), False, "level", "How bright?", ("70",)),
        VideoQuestion(rising, True, "rising", "Does it rise?", ("Yes.",)),
        VideoQuestion(rising, True, "describe", "What is bright?", ("level 45",)),
    )


def test_every_condition_shows_what_it_says(tmp_path):
    pytest.importorskip("pycocoevalcap", reason="pycocoevalcap is not installed (extra eval)")
    questions = questions_about(tmp_path)
    steps = []
    asked = Evaluator(Looker(), questions, seed=3).run(CONDITIONS, lambda: steps.append(1))
    assert len(steps) == 3 * len(CONDITIONS)
    by = {condition: [one for one in asked if one.condition == condition] for condition in CONDITIONS}
    assert [one.right for one in by["own video"]] == [True, True, True, False]
    assert [one.preferred for one in by["own video"]] == [None, None, None, True]
    assert not any(one.right for one in by["wrong video"])
    assert {one.answer for one in by["black video"]} == {"0", "No."}
    assert {one.question for one in by["shuffled frames"]} == {2, 3}  # one frame cannot be shuffled
    evaluation = summarize(questions, asked, {"model": "looker"})
    level, rising = evaluation.kinds
    assert (level.declined.value, level.declined.count, rising.declined) == (0.0, 2, None)
    assert (level.kind, level.shares["own video"].value, level.shares["wrong video"].value, level.baseline) == ("level", 1.0, 0.0, 0.5)
    assert (rising.shares["black video"].value, rising.baseline) == (0.0, 1.0)
    assert "shuffled frames" not in level.shares
    assert evaluation.preference.value == 1.0
    assert set(evaluation.captions) == set(CONDITIONS)
    assert "| level | 100.0% |" in to_markdown(evaluation)
    assert json.loads(evaluation.to_json())["kinds"][0]["shares"]["own video"]["count"] == 2


def test_shuffled_frames_are_the_same_frames(tmp_path):
    for level in range(12):
        cv2.imwrite(str(tmp_path / f"{level}.png"), np.full((4, 4, 3), level, np.uint8))
    question = VideoQuestion(tuple(tmp_path / f"{level}.png" for level in range(12)), True, "rising", "Does it rise?", ("Yes.",))
    engine = Looker()
    own, mixed = Evaluator(engine, (question,)).run(("own video", "shuffled frames"))
    assert (own.right, mixed.right) == (True, False)
    (_, ordered), (_, shuffled) = engine.shown
    assert sorted(shuffled) == list(ordered) != list(shuffled)


def test_only_what_is_asked_for_is_watched(tmp_path, monkeypatch):
    questions, engine, watched = questions_about(tmp_path)[:3], Looker(), []
    watch = engine.watch
    monkeypatch.setattr(engine, "watch", lambda clip: watched.append(clip) or watch(clip))
    asked = Evaluator(engine, questions).run(("black video",))
    assert len(asked) == len(watched) == 3
    assert all(not np.any(frame) for clip in watched for frame in clip)


def test_one_video_has_no_wrong_one(tmp_path):
    question = VideoQuestion((Path("50.mp4"),), False, "level", "How bright?", ("50",))
    asked = Evaluator(Looker(), (question,)).run(CONDITIONS)
    assert {one.condition for one in asked} == {"own video", "black video"}


@pytest.mark.parametrize(("limit", "places"), [(None, range(7)), (9, range(7)), (3, (0, 2, 4)), (1, (0,))])
def test_a_limit_spreads_over_the_file(limit, places):
    questions = tuple(VideoQuestion((Path(f"{n}"),), False, "k", "q", ("a",)) for n in range(7))
    assert [int(question.media[0].name) for question in spread(questions, limit)] == list(places)


@pytest.mark.parametrize("wrong", [{"conditions": ("upside down",)}, {"conditions": ()}, {"limit": 0}])
def test_wrong_requests_are_refused(wrong):
    with pytest.raises(OptionsError):
        EvaluationRequest(bundle="b", questions=Path("q"), **wrong)


@pytest.fixture(scope="module")
def tiny_folder(tmp_path_factory):
    pytest.importorskip("gguf")
    import tiny_bundle

    return tiny_bundle.write_bundle(tmp_path_factory.mktemp("evaluation") / "bundle")


def test_the_program_evaluates_a_bundle(tiny_folder, clip, tmp_path, capsys):
    pytest.importorskip("pycocoevalcap", reason="pycocoevalcap is not installed (extra eval)")
    pytest.importorskip("matplotlib")
    cv2.imwrite(str(clip.parent / "a.png"), np.full((20, 30, 3), 200, np.uint8))
    lines = [
        {"video": clip.name, "kind": "presence", "question": "a dog?", "answers": ["Yes."]},
        {"frames": ["a.png", "a.png"], "kind": "presence", "question": "a dog?", "answers": ["No."]},
        {"frames": ["a.png", "a.png"], "kind": "describe", "question": "what is it?", "answers": ["A dog.", "a big dog"]},
    ]
    path = clip.parent / "questions.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))
    out = tmp_path / "report"
    assert main(["eval", str(path), "--model", str(tiny_folder), "--max-new-tokens", "4", "--out", str(out)]) == 0
    line = json.loads(capsys.readouterr().out.splitlines()[-1])
    (row,) = line["kinds"]
    assert row["shares"]["own video"]["count"] == row["shares"]["wrong video"]["count"] == 2
    assert row["baseline"] == 0.5
    assert line["preference"]["count"] == 1
    assert math.isfinite(line["captions"]["own video"]["CIDEr"])
    assert {path.name for path in out.iterdir()} == {"evaluation.json", "evaluation.md", "evaluation.png", "answers.jsonl"}
    assert len((out / "answers.jsonl").read_text().splitlines()) == 4 * 3
    assert main(["eval", str(path), "--model", str(tiny_folder), "--limit", "1", "--condition", "own video"]) == 0
    (clip.parent / "a.png").write_bytes(b"no image")
    assert main(["eval", str(path), "--model", str(tiny_folder), "--condition", "own video"]) == 1
    assert "a.png is not a readable image" in capsys.readouterr().err


@pytest.mark.parametrize("count", [1, 25, 177, 708])
def test_a_plot_takes_shares_of_none_and_all(tmp_path, count):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed (extra eval)")
    rows = tuple(KindRow(str(value), {"own video": Share.of([value] * count)}, 0.5) for value in (False, True))
    write_plot(Evaluation({}, rows), tmp_path / "plot.png")
    assert (tmp_path / "plot.png").stat().st_size > 1000
