"""What TensorRT says while it builds: its log, kept for the report, and its progress, passed on.

The classes are made in functions because their bases belong to the library that was chosen. Knows TensorRT's callbacks; does not know builds.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from redvillm.export.engine_options import BuildProgress

Progress = Callable[[BuildProgress], None]


def make_logger(trt: Any) -> Any:
    """Return a logger with the lists `warnings` and `errors`."""

    class Logger(trt.ILogger):  # type: ignore[misc]
        """Keeps warnings and errors, for the report."""

        def __init__(self) -> None:
            super().__init__()
            self.warnings: list[str] = []
            self.errors: list[str] = []

        def log(self, severity: Any, msg: str) -> None:
            if severity in (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR):
                self.errors.append(msg)
            elif severity == trt.ILogger.Severity.WARNING:
                self.warnings.append(msg)

    return Logger()


def make_monitor(trt: Any, progress: Progress) -> Any:
    """Return a progress monitor that calls `progress`, from TensorRT's threads."""

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        """Passes on every finished step. Phases are told apart by name, as TensorRT does."""

        def __init__(self) -> None:
            super().__init__()
            self.phases: dict[str, BuildProgress] = {}

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            self.phases[phase_name] = BuildProgress(phase_name, parent_phase or "", 0, num_steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            phase = self.phases[phase_name]
            progress(replace(phase, step=step + 1))
            return True

        def phase_finish(self, phase_name: str) -> None:
            phase = self.phases.pop(phase_name)
            progress(replace(phase, step=phase.num_steps))

    return Monitor()
