"""Peers: the protocol with a fake engine, failures that are told and do not end the run, figures and tables."""

import fcntl
import json
import sys
from pathlib import Path

import fake_peer
import numpy as np
import psutil
import pytest

from redvillm.benchmarks.bandwidth import Bandwidth, measure_bandwidth
from redvillm.benchmarks.machine import describe_machine
from redvillm.benchmarks.peers.artifacts import WORKERS
from redvillm.benchmarks.peers.catalogue import PEERS, REFERENCE
from redvillm.benchmarks.peers.environment import ENVIRONMENTS, EnvironmentPlan, Environments
from redvillm.benchmarks.peers.markdown import to_markdown
from redvillm.benchmarks.peers.plot import write_plot
from redvillm.benchmarks.peers.report import LANGUAGE, VISION, PeersReport, figures_of, token_agreement
from redvillm.benchmarks.peers.request import PeersRequest
from redvillm.benchmarks.peers.sampling import sample_in_turn
from redvillm.benchmarks.process import WorkerProcess
from redvillm.errors import BackendError, OptionsError, StorageError

TASK = {"context": [5, 6, 7, 8], "question": [9, 10], "num_new_tokens": 3}
TOKEN_S = 0.004


def start_fake(kind="steps", **config):
    command = [sys.executable, str(WORKERS / "serve.py"), fake_peer.__file__, json.dumps({"kind": kind, "token_s": TOKEN_S, **config})]
    return lambda: WorkerProcess(kind, command)


def sample(starts, tasks, *, own=None, warmup=0, lock=None):
    said = []
    return sample_in_turn(starts, tasks, own=own or {}, warmup=warmup, lock=lock, progress=said.append), said


def test_the_four_figures_of_an_engine_with_a_cache():
    with start_fake()() as worker:
        assert worker.greeting["provider"] == "fake"
        record = worker.exchange(TASK)
    assert record["tokens"] == [4, 5, 6, 7]  # the cache after the context and after each step
    # the fake sleeps for each token it is given, at least so long
    assert record["prefill_per_s"] <= 1 / TOKEN_S
    assert record["decode_per_s"] <= 1 / TOKEN_S
    assert record["ttft_cached_ms"] >= 2 * TOKEN_S * 1e3
    assert record["ttft_ms"] >= 6 * TOKEN_S * 1e3
    assert 1 < record["peak_memory_mb"] < 200  # the worker's own, not that of this process


def test_a_vision_encoder_leaves_its_features(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (3, 4, 4, 3)).astype(np.uint8)
    np.save(tmp_path / "pixels.npy", pixels)
    with start_fake("encoder")() as worker:
        record = worker.exchange({"pixels": str(tmp_path / "pixels.npy"), "features": str(tmp_path / "features.npy")})
    assert record["encode_ms"] > 0
    np.testing.assert_array_equal(np.load(tmp_path / "features.npy"), pixels.reshape(3, -1).astype(np.float32) * 2)


def test_engines_take_turns_and_the_warm_up_is_dropped():
    (first, second), said = sample({"a": start_fake(), "b": start_fake("own")}, [TASK] * 3, warmup=1)
    assert [words for words in said if words.startswith("round")] == [f"round {number} of 3: {name}" for number in (1, 2, 3) for name in "ab"]
    assert len(first.records) == len(second.records) == 2
    assert second.records[0]["tokens"] == TASK["context"]
    assert not psutil.Process().children()


def test_an_engine_that_fails_is_told_and_the_others_go_on():
    starts = {
        "absent": lambda: WorkerProcess("absent", ["/nowhere/python"]),
        "bad": start_fake("no such kind"),
        "full": start_fake(breaks_after=8),
        "good": start_fake(),
    }
    sampled, _ = sample(starts, [TASK, {**TASK, "num_new_tokens": 9}, TASK])
    reasons = {one.name: one.reason for one in sampled}
    assert "/nowhere/python" in reasons["absent"]
    assert "KeyError" in reasons["bad"]
    assert "MemoryError: the fake is full" in reasons["full"]
    assert reasons["good"] is None
    assert [len(one.records) for one in sampled] == [0, 0, 0, 3]  # figures of an engine that broke are not kept
    assert not psutil.Process().children()


def test_the_lock_is_held_during_rounds_only(tmp_path):
    lock = tmp_path / "lock"
    sampled, _ = sample({"a": start_fake()}, [TASK], lock=lock)
    assert len(sampled[0].records) == 1
    with lock.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    with pytest.raises(StorageError, match="lock"):
        sample({"a": start_fake()}, [TASK], lock=tmp_path / "absent" / "lock")


def test_an_environment_is_installed_once_and_again_when_its_plan_changes(tmp_path):
    plan = EnvironmentPlan("empty", ())
    environments = Environments(tmp_path, may_install=True)
    # pip refuses to install nothing, which is as good as any other failure
    with pytest.raises(BackendError, match="installing"):
        environments.python(plan)
    assert not (tmp_path / "empty" / "requirements.txt").exists()
    python = tmp_path / "empty" / "bin" / "python"
    (tmp_path / "empty" / "requirements.txt").write_text(plan.marker, encoding="utf-8")
    before = python.lstat().st_ino
    assert environments.python(plan) == python
    assert python.lstat().st_ino == before
    with pytest.raises(BackendError, match="no-such-package-of-redvillm"):
        environments.python(EnvironmentPlan("empty", ("./no-such-package-of-redvillm",)))


def test_given_environments_are_used_as_they_are(tmp_path):
    with pytest.raises(BackendError, match="leave --environments away"):
        Environments(tmp_path, may_install=False).python(ENVIRONMENTS["llama"])
    assert list(tmp_path.iterdir()) == []


def test_the_catalogue_is_whole():
    assert {peer.environment for peer in PEERS} - {None} == set(ENVIRONMENTS)
    for peer in PEERS:
        assert (WORKERS / peer.worker).is_file()
    for part, reference in REFERENCE.items():
        names = [peer.name for peer in PEERS if peer.part == part]
        assert names[0] == "redvillm"  # ratios are to the first
        assert reference in names
        assert len(set(names)) == len(names)
    for plan in ENVIRONMENTS.values():
        assert all("==" in requirement for requirement in plan.requirements)


@pytest.mark.parametrize(
    ("changes", "words"), [({"rounds": 0}, "rounds is 0"), ({"parts": ("ears",)}, "language, vision"), ({"peers": ("x",)}, "llama")]
)
def test_illegal_requests_are_named(changes, words):
    with pytest.raises(OptionsError, match=words):
        PeersRequest(**{"bundle": "b", "clip": "c", "folder": Path(), "threads": 1, **changes})


def test_tokens_agree_up_to_the_first_difference():
    assert token_agreement([[1, 2, 3, 4]], [[1, 2, 3, 4]]) == 1
    assert token_agreement([[1, 9, 3, 4], [5, 6, 7, 8]], [[1, 2, 3, 4], [5, 6, 7, 8]]) == 5 / 8
    assert token_agreement([[9]], [[1]]) == 0
    assert token_agreement([], []) == 0


def test_bandwidth_is_a_positive_number_of_bytes():
    found = measure_bandwidth(2, array_bytes=1 << 20, rounds=1)
    assert found.bytes_per_s > 0
    assert found.threads == 2


def make_report():
    sampled, _ = sample({"redvillm": start_fake(), "slow": start_fake(token_s=3 * TOKEN_S), "broken": start_fake("none")}, [TASK] * 2)
    bandwidth = Bandwidth(1e9, 1, "by hand")
    language = tuple(figures_of(one, LANGUAGE, bandwidth=bandwidth, agreement=1.0 if one.records else None) for one in sampled)
    machine = describe_machine()
    vision = tuple(figures_of(one, VISION[1:], bandwidth=None, agreement=None) for one in sampled[2:])
    return PeersReport(
        machine=machine,
        threads=1,
        rounds=2,
        context_tokens=4,
        question_tokens=2,
        num_new_tokens=3,
        bandwidth=bandwidth,
        language=language,
        vision=vision,
    )


def test_ratios_shares_and_reasons_stand_in_the_report(tmp_path):
    report = make_report()
    own, slow, broken = report.language
    decode = LANGUAGE[1]
    assert own.ratio_to(own, decode) == 1
    assert slow.ratio_to(own, decode) == slow.figures["decode_per_s"].p50 / own.figures["decode_per_s"].p50
    assert slow.ratio_to(own, LANGUAGE[2]) == own.figures["ttft_ms"].p50 / slow.figures["ttft_ms"].p50
    assert broken.ratio_to(own, decode) is None
    assert own.bandwidth_share == pytest.approx(2e6 * own.figures["decode_per_s"].p50 / 1e9)
    text = to_markdown(report)
    rows = {row.split("|")[1].strip(): row for row in text.splitlines() if row.startswith("| ")}
    assert rows["slow"].count("x)") == len(LANGUAGE)
    assert rows["broken"].count(" - ") == rows["broken"].count("|") - 2
    assert "broken (language) has no figures" in text
    assert "KeyError" in text
    assert len({row.count("|") for row in rows.values()}) == 2  # one table for language, one for vision
    record = json.loads(report.to_json())
    assert record["language"][0]["figures"]["ttft_ms"]["count"] == 2
    assert record["language"][2]["reason"]


def test_the_plot_leaves_out_what_has_no_figures(tmp_path):
    pytest.importorskip("matplotlib")
    write_plot(make_report(), tmp_path / "peers.png")
    assert (tmp_path / "peers.png").read_bytes().startswith(b"\x89PNG")
