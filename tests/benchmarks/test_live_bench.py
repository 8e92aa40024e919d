"""`redvillm bench --stream` on a whole tiny bundle: a real stream, real threads, a few seconds."""

import json

import pytest
import tiny_bundle

import redvillm
from redvillm.cli import main
from redvillm.errors import SourceNotFoundError

pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return tiny_bundle.write_bundle(tmp_path_factory.mktemp("bundles") / "tiny")


def run(capsys, *words):
    status = main(["bench", "--model", *map(str, words), "--max-new-tokens", "4"])
    captured = capsys.readouterr()
    return status, captured


def test_a_live_run_counts_every_answer_and_frame(bundle, clip, tmp_path, capsys):
    timing = ("--duration", "1.6s", "--segment", "0.8s", "--warmup-time", "0.4s", "--questions-every", "0.2s", "--arrivals", "regular")
    questions = tmp_path / "questions.txt"
    questions.write_text("in\nthe a\n", encoding="utf-8")
    # without the gate: on a still scene a file is read half a second ahead, too much for the rate over so short a segment
    words = (bundle, "--stream", clip, *timing, "--compare", "prefill", "--gate", "none", "--questions", questions, "--out", tmp_path / "out")
    status, captured = run(capsys, *words)
    assert status == 0, captured.err
    record = json.loads(captured.out.splitlines()[-1])
    assert record["verdict"] is None
    with_prefill, without = record["variants"]
    # two segments of 1.2 s: six questions in each, two of them during the warm-up
    assert (with_prefill["num_answers"], without["num_answers"]) == (8, 8)
    assert with_prefill["num_failed"] == without["num_failed"] == 0
    assert with_prefill["latencies_ms"]["ttft_ms"]["count"] == 8
    assert with_prefill["latencies_ms"]["per_token_ms"]["p50"] > 0
    for variant in record["variants"]:
        latencies = variant["latencies_ms"]
        assert latencies["frame_to_last_token_ms"]["p50"] >= latencies["frame_to_first_token_ms"]["p50"] >= latencies["ttft_ms"]["p50"] >= 0
        # tokens of a window that is filling: 4 patches, 2 motion tokens, 1 to 4 frames
        assert 7 <= variant["num_visual_tokens"]["p50"] <= 10
        assert variant["captured_fps"] == pytest.approx(10, abs=4)  # the clip's own speed; whole frames in two short segments
    records = json.loads((tmp_path / "out" / "records.json").read_text(encoding="utf-8"))
    assert len(records["answers"]) == 24
    assert sum(answer["is_warmup"] for answer in records["answers"]) == 8
    for sample in records["samples"]:
        assert 0 <= sample["captured"] - sample["used"] - sum(sample["drops"].values()) <= 2
    assert (tmp_path / "out" / "report.html").is_file()
    assert json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8")) == record


def test_a_trace_is_a_source_and_the_gate_is_compared_on_it(bundle, clip, tmp_path, capsys):
    trace = tmp_path / "walk.rvtrace"
    with redvillm.load(bundle, threads=1) as model, model.open(str(clip), options=redvillm.StreamOptions(rate_hz=10, record=trace)) as stream:
        assert stream.wait_ended(20)
    timing = ("--duration", "2s", "--segment", "1s", "--warmup-time", "0.5s", "--questions-every", "0.25s", "--arrivals", "regular")
    words = (bundle, "--stream", trace, *timing, "--compare", "gate", "--rate", "10", "--question", "the")
    status, captured = run(capsys, *words)
    assert status == 0, captured.err
    record = json.loads(captured.out.splitlines()[-1])
    gate, no_gate = record["variants"]
    assert [gate["name"], no_gate["name"]] == ["gate", "no gate"]
    assert gate["num_failed"] == no_gate["num_failed"] == 0
    assert gate["num_answers"] == no_gate["num_answers"] == 8
    assert gate["captured_fps"] > 0
    assert gate["drops_per_s"]["duplicate"] > 0  # a frame is ten levels brighter than the last, everywhere: less than a lamp may do
    assert "duplicate" not in no_gate["drops_per_s"]
    assert set(record["variants"][0]["latencies_ms"]) >= {"age_newest_ms", "age_confirmed_ms"}


def test_a_soak_ends_with_a_verdict_and_its_status(bundle, clip, capsys):
    words = ("--duration", "2s", "--warmup-time", "0.5s", "--questions-every", "0.25s", "--question", "the", "--soak")
    status, captured = run(capsys, bundle, "--stream", clip, *words)
    verdict = json.loads(captured.out.splitlines()[-1])["verdict"]
    assert {check["name"] for check in verdict["checks"]} >= {"memory", "latency", "threads", "file descriptors", "answers", "frames"}
    assert status == (0 if verdict["passed"] else 1)


def test_a_missing_source_is_an_error_in_words(bundle, tmp_path, capsys):
    status, captured = run(capsys, bundle, "--stream", tmp_path / "absent.mp4")
    assert status == 1
    assert "absent.mp4" in captured.err


def test_the_source_error_reaches_python(bundle, tmp_path):
    from redvillm.benchmarks.live_bench import run_live_bench
    from redvillm.benchmarks.live_requests import LiveBenchRequest

    with pytest.raises(SourceNotFoundError):
        run_live_bench(LiveBenchRequest(bundle=str(bundle), source=str(tmp_path / "absent.mp4")))


@pytest.mark.parametrize(
    "words", [("clip.mp4", "--stream", "a.mp4"), ("--stream", "a.mp4", "--peer", "transformers"), ("--stream", "a", "--frames", "3")]
)
def test_what_belongs_to_a_clip_is_refused_with_a_stream(words, capsys):
    with pytest.raises(SystemExit) as leaving:
        main(["bench", *words])
    assert leaving.value.code == 2
