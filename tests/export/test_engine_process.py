"""The process around a build: whatever happens in it, the caller gets one error that says so. Needs no TensorRT."""

import sys

import pytest

from redvillm.errors import ExportError, OptionsError
from redvillm.export.engine import EngineOptions
from redvillm.export.engine_process import run_worker


def run(code, *, timeout_s=30.0, on_progress=lambda step: None):
    return run_worker({"a": 1}, on_progress, timeout_s=timeout_s, command=[sys.executable, "-c", code])


def test_progress_and_report_come_through():
    steps = []
    code = "import sys, json; task = json.load(sys.stdin); print('{\"progress\": {\"n\": 1}}'); print(json.dumps({'report': task}))"
    assert run(code, on_progress=steps.append) == {"a": 1}
    assert steps == [{"n": 1}]


def test_an_abort_is_an_error_with_its_last_words():
    with pytest.raises(ExportError, match=r"signal 6 \(SIGABRT\).*terminate called"):
        run("import os, sys; sys.stderr.write('terminate called without an active exception\\n'); sys.stderr.flush(); os.abort()")


def test_a_crash_while_writing_is_an_error():
    with pytest.raises(ExportError, match="SIGSEGV"):
        run("import os, sys, signal; sys.stdout.write('{\"report\": {'); sys.stdout.flush(); os.kill(os.getpid(), signal.SIGSEGV)")


def test_an_exception_is_an_error_with_its_last_line():
    with pytest.raises(ExportError, match=r"status 1.*ZeroDivisionError"):
        run("1 / 0")


def test_a_silent_end_is_an_error():
    with pytest.raises(ExportError, match="said nothing"):
        run("pass")


def test_a_build_that_takes_too_long_is_ended():
    with pytest.raises(ExportError, match=r"longer than 0\.5 s"):
        run("import time; time.sleep(60)", timeout_s=0.5)


def test_errors_keep_their_class():
    with pytest.raises(OptionsError, match="not legal"):
        run('print(\'{"error": "not legal", "kind": "OptionsError"}\')')


def test_a_talkative_worker_does_not_block():
    code = "import sys; sys.stderr.write('x' * 2_000_000); print('{\"report\": {}}')"
    assert run(code) == {}


@pytest.mark.parametrize(
    "change",
    [
        {"precision": "half"},
        {"pooling": "reduce"},
        {"flavour": "trt"},
        {"architectures": ["SM86"]},
        {"architectures": ("86",)},
        {"architectures": ("SM86", "SM86")},
        {"frames": (1, 2, 3)},
        {"workspace_mib": 0},
        {"workspace_mib": 1.5},
        {"optimization_level": 6},
        {"optimization_level": True},
        {"timeout_s": 0},
        {"timeout_s": float("nan")},
        {"aot_ptx": "pool.ptx"},
        {"pooling": "function", "aot_ptx": "pool.ptx"},
    ],
)
def test_impossible_options_are_refused(change):
    with pytest.raises(OptionsError):
        EngineOptions(**{"precision": "float32", **change})
