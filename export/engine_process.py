"""The building process as seen from the caller: start it, pass its progress on, take its result, and say what ended it.

Knows pipes and JSON lines; does not know TensorRT.
"""

import json
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from typing import Any

from redvillm import errors
from redvillm.errors import ExportError

_STOP_S = 10
COMMAND = (sys.executable, "-P", "-m", "redvillm.export.engine_worker")  # -P: a folder named tensorrt where it is run must not be taken for it


def run_worker(
    task: dict[str, Any], on_progress: Callable[[dict[str, Any]], None], *, timeout_s: float, command: Sequence[str] = COMMAND
) -> dict[str, Any]:
    """Run one task in a process of its own; return its report.

    Raises:
        ExportError: the process was ended by a signal, ran past `timeout_s`, or failed without a word.
        RedvillmError: what the process reported, as the same class.
    """
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as messages:  # a file: a pipe that nobody reads would stop the process
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=messages, text=True, encoding="utf-8")
        expired = threading.Event()
        timer = threading.Timer(timeout_s, _end, (process, expired))
        timer.start()
        try:
            report = _converse(process, task, on_progress)
        finally:
            timer.cancel()
            process.kill()  # after a report it has nothing left to do; after an exception of the caller it must not go on
            status = process.wait(_STOP_S)
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    stream.close()
        if report is None:
            messages.seek(0)
            raise ExportError(_failure(status, messages.read(), timeout_s if expired.is_set() else None))
    return report


def _converse(process: subprocess.Popen[str], task: dict[str, Any], on_progress: Callable[[dict[str, Any]], None]) -> dict[str, Any] | None:
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(json.dumps(task))
        process.stdin.close()
    except BrokenPipeError:  # it has ended; what it said last tells why
        process.stdin = None
    for line in process.stdout:
        if not line.endswith("\n"):  # it was ended while it wrote
            break
        record: dict[str, Any] = json.loads(line)
        if "progress" in record:
            on_progress(record["progress"])
        elif "error" in record:
            raise getattr(errors, record["kind"])(record["error"])
        else:
            report: dict[str, Any] = record["report"]
            return report
    process.wait(_STOP_S)  # its own end, before anybody kills it
    return None


def _end(process: subprocess.Popen[str], expired: threading.Event) -> None:
    expired.set()
    process.kill()


def _failure(status: int, messages: str, expired_s: float | None) -> str:
    if expired_s is not None:
        return f"building the engine took longer than {expired_s:g} s and was ended; raise timeout_s, or lower optimization_level"
    words = " | ".join(messages.strip().splitlines()[-3:]) or "it said nothing"
    how = f"was ended by signal {-status} ({signal.Signals(-status).name})" if status < 0 else f"ended with status {status}"
    return f"the process that builds the engine {how}: {words:.600}. If TensorRT aborted, the graph or the installation is at fault, not this process"
