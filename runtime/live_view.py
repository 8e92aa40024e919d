"""The terminal view of `redvillm live`: figures of the stream, the latest answers as they stream, and the line being typed.

Knows rich; does not know where figures come from.
"""

from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from redvillm.runtime.alert import AlertEvent
from redvillm.runtime.answer import Answer
from redvillm.runtime.health import SourceState
from redvillm.runtime.report import answer_lines, drops_text, event_line, frames_text, recording_line
from redvillm.runtime.stream_status import StreamStatus

_GOOD = {SourceState.RUNNING}
_BAD = {SourceState.FAILED, SourceState.RECONNECTING, SourceState.STALLED}


class ViewOutput:
    """A live view; finished answers scroll away above it. Use as a context manager."""

    def __init__(self, console: Console) -> None:
        self._live = Live(console=console, auto_refresh=False, transient=True)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._live.stop()

    def show(self, status: StreamStatus, answers: list[Answer], typed: str) -> None:
        """Draw everything again."""
        self._live.update(live_panel(status, answers, typed), refresh=True)

    def finished(self, answer: Answer) -> None:
        """Print the answer above the view."""
        self._live.console.print(finished_answer(answer))

    def changed(self, event: AlertEvent) -> None:
        """Print the event above the view."""
        style = "bold red" if event.kind == "begin" else "bold green"
        self._live.console.print(Text(_printable(event_line(event)), style=style))

    def refused(self, question: str, error: Exception) -> None:
        """Print why, above the view."""
        self._live.console.print(Text(f"not asked: {_printable(question):.200}: {error}", style="red"))


def live_panel(status: StreamStatus, answers: list[Answer], typed: str) -> Panel:
    """Return the view: figures of the stream, answers in the making, and the line being typed."""
    parts: list[RenderableType] = [_figures(status)]
    parts += [_asked(answer.question, answer.text_so_far) for answer in answers]
    parts.append(Text.assemble(("ask: ", "bold cyan"), _printable(typed), ("_", "blink")))
    return Panel(Group(*parts), title="redvillm live", subtitle="type a question and Enter; Ctrl-C ends", title_align="left")


def finished_answer(answer: Answer) -> Group:
    """Return question, answer, evidence and timings of a finished answer; or why it failed."""
    style = "red" if answer.error is not None else "dim"
    lines = [Text(f"  {_printable(line)}", style=style) for line in answer_lines(answer)]
    return Group(_asked(answer.question, answer.text_so_far), *lines)


def _figures(status: StreamStatus) -> Table:
    style = "green" if status.state in _GOOD else "red" if status.state in _BAD else "yellow"
    age = "no frame yet" if status.age_newest_ms is None else f"newest {status.age_newest_ms:.0f} ms old"
    encode = "" if status.encode_ms is None else f", encoder {status.encode_ms:.1f} ms"
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold")
    table.add_column()
    table.add_row("source", Text.assemble((str(status.state), style), f"  {_printable(status.message)}"))
    table.add_row("frames", f"{status.capture_fps:.1f}/s captured, {status.perception_fps:.1f}/s used{encode}; {drops_text(status.counts.drops)}")
    if status.age_confirmed_ms is not None and status.age_newest_ms is not None and status.age_confirmed_ms < status.age_newest_ms:
        age += f", unchanged {status.age_confirmed_ms:.0f} ms ago"
    if status.num_remembered:
        age += f", {status.num_remembered} chunks before it"
    table.add_row("evidence", f"{frames_text(status.window_frames)} over {status.window_span_s:.1f} s, {age}; window {status.snapshot_version}")
    if status.recording is not None:
        table.add_row("recording", Text(_printable(recording_line(status.recording)), style="red" if status.recording.stopped else ""))
    if status.questions_waiting:
        table.add_row("waiting", f"{status.questions_waiting} questions")
    return table


def _asked(question: str, text: str) -> Text:
    return Text.assemble(("> ", "bold cyan"), (_printable(question), "cyan"), "\n", _printable(text.strip()))


def _printable(text: str) -> str:
    """Return `text` without what would move the cursor or cannot be encoded."""
    return "".join(char if char.isprintable() or char == "\n" else "\N{REPLACEMENT CHARACTER}" for char in text)
