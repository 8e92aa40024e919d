"""Worker processes: a failing engine is an error in words, and no process is left behind."""

import sys
import time

import psutil
import pytest

from redvillm.benchmarks.engine import Task
from redvillm.benchmarks.process import Worker
from redvillm.errors import BackendError


def test_an_engine_that_cannot_load_says_why(tmp_path):
    before = len(psutil.Process().children())
    with pytest.raises(BackendError, match="is not a bundle"):
        Worker("redvillm", str(tmp_path), None)
    assert len(psutil.Process().children()) == before


STUCK = """#!/bin/sh
echo '{"description": {"engine": "a", "provider": "b", "precision": "c", "threads": 1}}'
echo "device lost" >&2
%s
"""


@pytest.fixture
def worker_that(tmp_path, monkeypatch):
    def make(ending):
        script = tmp_path / "python"
        script.write_text(STUCK % ending)
        script.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(script))
        return Worker("redvillm", "bundle", None)

    return make


def test_an_engine_that_dies_says_why(worker_that):
    task = Task(clip="a", question="b" * 1_000_000, num_frames=1, num_new_tokens=1)
    with pytest.raises(BackendError, match="device lost"), worker_that("exit 3") as worker:
        worker.measure(task)
    assert not psutil.Process().children()


def test_an_engine_at_work_is_not_waited_for_after_ctrl_c(worker_that):
    start_s = time.perf_counter()
    with pytest.raises(KeyboardInterrupt), worker_that("exec sleep 60"):
        raise KeyboardInterrupt
    assert time.perf_counter() - start_s < 5  # it is given 10 s where nobody is in a hurry
    assert not psutil.Process().children()


@pytest.mark.bundle
def test_equal_work_and_every_stage(real_bundle, clip):
    with Worker("redvillm", str(real_bundle), 1) as worker:
        measurement = worker.measure(Task(clip=str(clip), question="What is it?", num_frames=3, num_new_tokens=5))
        assert worker.description.provider == "CPUExecutionProvider"
        assert worker.peak_memory_mb > 50
    stages = measurement.stages_ms
    assert all(value >= 0 for value in stages.values())
    assert stages["ttft_ms"] >= stages["prefill_ms"] + stages["encode_ms"]
    assert stages["total_ms"] >= stages["ttft_ms"] + 3 * stages["per_token_ms"]
    assert stages["second_question_ttft_ms"] < stages["ttft_ms"]
