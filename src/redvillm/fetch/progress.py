"""Showing how far a fetch is. Knows names and byte counts; does not know where the bytes come from."""

import contextlib
from collections.abc import Iterator
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn


class FetchProgress(Protocol):
    """What a fetch reports to."""

    def note(self, text: str) -> None:
        """A step was taken or begins."""

    def advance(self, name: str, done_bytes: int, total_bytes: int) -> None:
        """`done_bytes` of `total_bytes` of `name` have been read."""


class SilentProgress:
    """Reports nothing."""

    def note(self, text: str) -> None:
        """Drop the note."""

    def advance(self, name: str, done_bytes: int, total_bytes: int) -> None:
        """Drop the count."""


class TerminalProgress:
    """A bar per download on a terminal, a line per step elsewhere."""

    def __init__(self, console: Console, bars: Progress) -> None:
        self._console = console
        self._bars = bars

    def note(self, text: str) -> None:
        """Print the note as one line."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def advance(self, name: str, done_bytes: int, total_bytes: int) -> None:
        """Move the bar of `name`, which appears with its first bytes."""
        for task in self._bars.tasks:
            if task.description == name:
                self._bars.update(task.id, completed=done_bytes)
                return
        self._bars.add_task(name, completed=done_bytes, total=total_bytes)


@contextlib.contextmanager
def terminal_progress() -> Iterator[TerminalProgress]:
    """Yield a progress display on the standard error stream, so that the standard output stays clean."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        yield TerminalProgress(console, bars)
