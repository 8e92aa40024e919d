"""Worker processes: a failing engine is an error in words, and no process is left behind."""

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
