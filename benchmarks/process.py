"""A worker process as seen from the benchmark: start it, give it tasks, end it.

Knows pipes and JSON lines; does not know engines.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from types import TracebackType
from typing import Any, Self

from redvillm.benchmarks.engine import Description, Measurement, Task
from redvillm.errors import BackendError

_STOP_S = 10


class WorkerProcess:
    """A process that reads and writes JSON lines, one answer per task; use it as a context manager."""

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        """Start it and wait for its first line, kept as `greeting`; `environment` adds to the variables of this process.

        Raises:
            BackendError: it does not start; the message says why.
        """
        self.name = name
        # a file, for a pipe that nobody reads would stop a talkative engine; closed with the process
        self._messages = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115
        variables = None if environment is None else {**os.environ, **environment}
        try:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._messages, text=True, encoding="utf-8", env=variables
            )
        except OSError as error:
            self._messages.close()
            raise BackendError(f"the engine {name} cannot be started: {error}") from error
        try:
            self.greeting = self._receive()
        except BaseException:
            self._end(at_once=True)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._end(at_once=kind is not None)

    def exchange(self, task: Mapping[str, Any]) -> dict[str, Any]:
        """Send a task and return its answer.

        Raises:
            BackendError: the process failed.
        """
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has ended; what it said last tells why
            self._process.stdin.write(json.dumps(task) + "\n")
            self._process.stdin.flush()
        return self._receive()

    def _receive(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.wait(_STOP_S)
            self._messages.seek(0)
            reason = (self._messages.read().strip().splitlines() or ["it ended without a word"])[-1]
            raise BackendError(f"the engine {self.name} failed: {reason}")
        record: dict[str, Any] = json.loads(line)
        if "error" in record:
            raise BackendError(f"the engine {self.name} failed: {record['error']}")
        return record

    def _end(self, *, at_once: bool) -> None:
        if at_once:
            self._process.kill()
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for stream in (self._process.stdout, self._messages):
            if stream is not None:
                stream.close()


class Worker(WorkerProcess):
    """An engine that answers about clips, in its own process."""

    def __init__(self, engine: str, model: str, threads: int | None, target: str = "cpu") -> None:
        """Start the process and wait until its engine is loaded; `target` is that of redvillm's bundle.

        Raises:
            BackendError: the engine does not start; the message says why.
        """
        command = [sys.executable, "-m", "redvillm.benchmarks.worker", engine, model, "--target", target]
        if threads is not None:
            command += ["--threads", str(threads)]
        super().__init__(engine, command)
        self.description = Description(**self.greeting["description"])
        self.peak_memory_mb = 0.0

    def measure(self, task: Task) -> Measurement:
        """Have the engine answer once.

        Raises:
            BackendError: the process failed.
        """
        record = self.exchange(asdict(task))
        self.peak_memory_mb = record.pop("peak_memory_mb")
        return Measurement(**record)
