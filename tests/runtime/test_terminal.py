"""`ask` and `live` as the command line runs them, with and without a terminal."""

import dataclasses
import io
import json
import os
import pty
import sys
import threading
import time

import numpy as np
import pytest
from rich.console import Console

from redvillm.errors import OptionsError, QuestionError, SourceFormatError, SourceNotFoundError
from redvillm.runtime.live_output import JsonOutput, PlainOutput
from redvillm.runtime.live_session import LiveSession
from redvillm.runtime.live_view import ViewOutput
from redvillm.runtime.options import GenerationOptions
from redvillm.runtime.requests import AskRequest, LiveRequest
from redvillm.runtime.terminal import run_ask, run_live
from redvillm.runtime.trace_recorder import RecordingStatus
from redvillm.runtime.typed_input import TypedInput, _edited


@pytest.fixture
def piped(monkeypatch):
    """Return a function that makes standard input a pipe holding `data`, at its end unless `keep_open`."""
    opened = []

    def feed(writer, data, close):
        with os.fdopen(writer, "wb", closefd=close) as file:
            file.write(data)

    def pipe(data=b"", *, keep_open=False):
        reader, writer = os.pipe()
        feeder = threading.Thread(target=feed, args=(writer, data, not keep_open), daemon=True)  # a pipe holds only so much at a time
        feeder.start()
        if keep_open:
            opened.append(writer)
        file = os.fdopen(reader)
        opened.append(file)
        monkeypatch.setattr(sys, "stdin", file)
        return writer

    yield pipe
    for entry in opened:
        os.close(entry) if isinstance(entry, int) else entry.close()


def ask_request(bundle, clip, **changes):
    values = {"questions": ("what",), "num_frames": None, "max_new_tokens": 8, "temperature": 0.0, "top_p": 1.0, "seed": 0, "threads": None}
    return AskRequest(**{"bundle": str(bundle), "clip": str(clip), "as_json": False, **values, **changes})


def live_request(bundle, source, **changes):
    values = {"questions": (), "alerts": (), "every_s": None, "max_evidence_age_s": 1.0, "rate_hz": 100.0, "max_new_tokens": 8}
    values |= {"threads": None, "duration_s": None, "loop": False}
    return LiveRequest(**{"bundle": str(bundle), "source": str(source), "as_json": False, **values, **changes})


def test_ask_prints_answers_with_evidence_and_timings(fake_bundle, fake_parts, write_clip, capsys):
    assert run_ask(ask_request(fake_bundle, write_clip(), questions=("one", "two"))) == 0
    out = capsys.readouterr().out
    assert "> one\necho one about 10" in out
    assert "> two\necho two about 10" in out
    assert out.count("evidence: 4 of 20 frames over 1.5 s") == 2
    assert out.count("timings: first token") == 2


def test_ask_says_that_a_clip_was_cut(fake_bundle, fake_parts, write_clip, capsys):
    path = write_clip(num_frames=60, noise=True)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    run_ask(ask_request(fake_bundle, path))
    assert "note: the clip is cut short or damaged" in capsys.readouterr().out


def test_ask_json_is_one_document(fake_bundle, fake_parts, write_clip, capsys):
    run_ask(ask_request(fake_bundle, write_clip(), questions=("one", "zwei ü"), as_json=True))
    document = json.loads(capsys.readouterr().out)
    assert document["model"] == "fake"
    first, second = document["answers"]
    assert first["answer"] == "echo one about 10 "
    assert second["question"] == "zwei ü"
    assert first["evidence"]["frame_times_s"] == [0.2, 0.7, 1.2, 1.7]
    assert first["timings"]["frame_to_first_token_ms"] is None
    assert first["stats"]["options"]["max_new_tokens"] == 8
    assert second["stats"]["prefix_reused"]


@pytest.mark.parametrize(
    ("clip", "questions", "error"), [("/nowhere.mp4", ("a",), SourceNotFoundError), ("/", ("a",), SourceFormatError), ("/", ("",), QuestionError)]
)
@pytest.mark.parametrize("as_json", [False, True])
def test_ask_raises_what_made_it_fail(fake_bundle, fake_parts, clip, questions, error, as_json):
    with pytest.raises(error):
        run_ask(ask_request(fake_bundle, clip, questions=questions, as_json=as_json))


def test_live_answers_piped_questions_and_ends(fake_bundle, fake_parts, write_clip, piped, capsys):
    piped("first\nsecond é\n\nlast without newline".encode())
    assert run_live(live_request(fake_bundle, write_clip(num_frames=500, fps=50), loop=True)) == 0
    out = capsys.readouterr().out
    assert "[running] reading" in out
    for question in ("first", "second é", "last without newline"):
        assert f"> {question}\necho {question} about" in out
    assert "evidence: " in out
    assert "frame to answer" in out


def test_live_ends_with_the_file_and_asks_the_standing_question_to_the_end(fake_bundle, fake_parts, write_clip, piped, capsys):
    piped()
    run_live(live_request(fake_bundle, write_clip(num_frames=20, fps=20), questions=("what",), every_s=0.1, as_json=True))
    documents = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    answers = [document for document in documents if document["type"] == "answer"]
    statuses = [document for document in documents if document["type"] == "status"]
    assert len(answers) >= 3
    assert "came to its end" in answers[-1]["evidence"]["notes"][0]
    assert answers[-1]["evidence"]["drops"].keys() == {"busy", "rate", "duplicate", "stale", "decode_error"}
    assert statuses[0]["state"] in {"running", "ended"}
    counts = statuses[-1]["counts"]
    assert counts["captured"] == counts["used"] + sum(counts["drops"].values()) + counts["in_flight"]


@pytest.mark.parametrize("as_json", [False, True])
def test_live_tells_when_an_alert_begins_and_ends(fake_bundle, fake_parts, write_clip, piped, capsys, as_json):
    piped()
    fake_parts.probabilities = [0.1, 0.9, 0.9, 0.9, 0.1, 0.1, 0.1]
    run_live(live_request(fake_bundle, write_clip(num_frames=40, fps=20), alerts=("smoke?",), every_s=0.1, as_json=as_json))
    lines = capsys.readouterr().out.splitlines()
    if as_json:
        events = [document for document in map(json.loads, lines) if document["type"] == "alert"]
        assert [(event["kind"], event["probability"], event["question"]) for event in events] == [("begin", 0.9, "smoke?"), ("end", 0.1, "smoke?")]
        assert events[0]["evidence"]["frames_used"] >= 1
        assert "time_s" not in events[0]
    else:
        told = [line for line in lines if line.startswith("[alert")]
        assert told[0] == "[alert begins] smoke? (yes: 90%)"
        assert told[1].startswith("[alert ends after 0.")


def test_live_stops_after_its_duration(fake_bundle, fake_parts, write_clip, piped, capsys):
    piped(keep_open=True)
    start_s = time.perf_counter()
    run_live(live_request(fake_bundle, write_clip(fps=50), loop=True, duration_s=0.4))
    assert 0.4 <= time.perf_counter() - start_s < 5
    assert "[running]" in capsys.readouterr().out


def test_live_tells_which_questions_the_time_did_not_suffice_for(fake_bundle, fake_parts, write_clip, piped, capsys):
    piped(b"first\n" + b"more\n" * 30, keep_open=True)
    fake_parts.delay_s = 0.3
    assert run_live(live_request(fake_bundle, write_clip(fps=50), loop=True, duration_s=0.8)) == 0
    out = capsys.readouterr().out
    assert out.count("> ") == 31
    assert "no answer: the time was up" in out
    assert "not asked: the time was up" in out


def test_live_answers_more_piped_questions_than_can_wait(fake_bundle, fake_parts, write_clip, piped, capsys):
    piped(b"".join(b"question %d\n" % number for number in range(40)))
    assert run_live(live_request(fake_bundle, write_clip(num_frames=500, fps=50), loop=True)) == 0
    out = capsys.readouterr().out
    assert out.count("echo question") == 40
    assert "not asked" not in out


def test_live_refuses_a_bad_typed_question_and_goes_on(fake_bundle, fake_parts, write_clip, piped, capsys, monkeypatch):
    def check_fits(question, num_visual_tokens, options):
        if "\udcff" in question:
            raise QuestionError("the question is not valid UTF-8 text")

    monkeypatch.setattr(fake_parts, "check_fits", check_fits)
    piped(b"bad \xff\nx" + b"y" * 100_000 + b"\ngood\n")
    run_live(live_request(fake_bundle, write_clip(num_frames=100, fps=20)))
    out = capsys.readouterr().out
    assert "not asked: the question is not valid UTF-8 text" in out
    assert "> good" in out


def test_live_json_tells_a_refusal(fake_bundle, fake_parts, write_clip, piped, capsys, monkeypatch):
    def refuse(question, num_visual_tokens, options):
        raise QuestionError("no")

    monkeypatch.setattr(fake_parts, "check_fits", refuse)
    piped(b"a \xff\n")
    run_live(live_request(fake_bundle, write_clip(num_frames=10, fps=20), as_json=True))
    documents = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {"type": "refused", "question": "a \udcff", "error": {"type": "QuestionError", "message": "no"}} in documents


def test_live_fails_with_the_source(fake_bundle, fake_parts, write_clip, piped):
    piped()
    with pytest.raises(SourceFormatError, match="no frame"):
        run_live(live_request(fake_bundle, write_clip(num_frames=0)))
    with pytest.raises(SourceNotFoundError):
        run_live(live_request(fake_bundle, "/nowhere.mp4"))
    with pytest.raises(OptionsError, match="rate_hz"):
        run_live(live_request(fake_bundle, write_clip(), rate_hz=0.0))


def test_live_without_standard_input(fake_bundle, fake_parts, write_clip, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", None)
    run_live(live_request(fake_bundle, write_clip(fps=50), questions=("what",)))
    assert "> what\necho what" in capsys.readouterr().out


def test_typing_at_a_terminal(monkeypatch):
    controller, terminal = pty.openpty()
    with os.fdopen(terminal, closefd=True) as file:
        monkeypatch.setattr(sys, "stdin", file)
        import termios

        before = termios.tcgetattr(terminal)
        with TypedInput() as typed:
            assert typed.is_terminal
            os.write(controller, "hallo\x7fö w\x1b[Dx".encode())
            assert typed.poll(1) == []
            assert typed.line_so_far == "hallö wx"
            os.write(controller, b"\n")
            assert typed.poll(1) == ["hallö wx"]
            os.write(controller, b"\x04")
            assert typed.poll(1) == []
            assert typed.is_over
        assert termios.tcgetattr(terminal) == before
    os.close(controller)


@pytest.mark.parametrize(
    ("line", "keys", "want"),
    [
        (b"ab", b"c", b"abc"),
        (b"ab", b"\x7f\x7f\x7f", b""),
        ("aé".encode(), b"\b", b"a"),
        (b"some words", b"\x17", b"some"),
        (b"some words", b"\x15new", b"new"),
        (b"a", b"\x1b[A\x1b[1;5C\x1bOPb", b"ab"),
        (b"a", b"\x00\x01\xff", b"a\xff"),
    ],
)
def test_keys(line, keys, want):
    assert _edited(line, keys) == want


def test_the_view_shows_figures_answers_and_what_is_typed(open_stream, language, wait_for):
    import numpy as np

    def frames():
        while True:
            time.sleep(0.005)
            yield np.zeros((4, 4, 3), np.uint8)

    stream = open_stream(frames())
    language.delay_s = 0.01
    out = io.StringIO()
    with ViewOutput(Console(file=out, force_terminal=True, width=160, height=40)) as view:
        answer = stream.ask("what is\x1b[31m red?")
        while not answer.is_done:
            view.show(stream.status, [answer], "typ")
            time.sleep(0.005)
        view.finished(answer)
        view.refused("bad", QuestionError("too long"))
        failed = stream.ask("x y z")
        failed.cancel()
        view.finished(failed)
        stream.close()
        view.show(stream.status, [], "")
    text = out.getvalue()
    for words in ("captured", "used", "evidence", "running", "closed", "typ", "not asked: bad", "no answer: the answer was cancelled", "timings:"):
        assert words in text
    assert "\x1b[31m red?" not in text  # a question cannot draw on the terminal


class NoInput:
    """Typed input of a person who says nothing."""

    is_over = False
    line_so_far = ""

    def poll(self, timeout_s):
        time.sleep(0.01)
        return []


@pytest.mark.parametrize("kind", [JsonOutput, PlainOutput])
def test_a_session_ends_when_its_stream_is_closed_elsewhere(open_stream, kind):
    import numpy as np

    stream = open_stream(np.zeros((4, 4, 3), np.uint8) for _ in iter(lambda: time.sleep(0.005), 1))
    threading.Timer(0.2, stream.close).start()
    out = io.StringIO()
    LiveSession(stream, NoInput(), kind(out), GenerationOptions()).run(("what",), (), 0.05, None)
    assert "echo what" in out.getvalue()


def test_live_records_a_trace_and_plays_it_as_fast_as_it_can(fake_bundle, fake_parts, write_clip, piped, capsys, tmp_path):
    piped()
    trace = tmp_path / "a.rvtrace"
    run_live(live_request(fake_bundle, write_clip(num_frames=30, fps=25, step=20), gate="none", record=str(trace), questions=("one",)))
    assert trace.stat().st_size > 0
    piped()
    run_live(live_request(fake_bundle, trace, speed="max", window="memory", gate="none", questions=("two",), as_json=True))
    documents = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    answer = next(document for document in documents if document["type"] == "answer")
    assert answer["question"] == "two"
    assert answer["evidence"]["age_confirmed_ms"] <= answer["evidence"]["age_newest_ms"]
    assert [span["num_frames"] for span in answer["evidence"]["remembered"]]
    assert documents[0]["recording"] is None


def test_live_tells_once_that_a_recording_stopped(open_stream):
    out = io.StringIO()
    recording = RecordingStatus(path="a.rvtrace", num_frames=3, num_bytes=10**6, num_missed=2, stopped="the disk is full")
    status = dataclasses.replace(open_stream(endless_frames()).status, recording=recording)
    output = PlainOutput(out)
    for _ in range(3):
        output.show(status, [], "")
    assert out.getvalue().count("[recording] a.rvtrace: 3 frames, 1.0 MB, 2 missed; stopped: the disk is full") == 1


def endless_frames():
    while True:
        time.sleep(0.01)
        yield np.zeros((4, 4, 3), np.uint8)
