"""Which runs of an engine replay a CUDA graph.

The rule: a number of frames that comes twice in a row is captured, copies included, and replayed from then on; the MAX_GRAPHS that were used last are
kept. So a live stream, one frame at a time, and a window that is full replay, and one that fills runs plainly. Where a capture fails, all runs are
plain, and `words` says why. Knows numbers of frames; does not know engines.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from redvillm.errors import BackendError
from redvillm.runtime.device_memory import CapturedGraph

MAX_GRAPHS = 4
RUNS_BEFORE_REPLAY = 2


class FrameGraphs:
    """The captured graphs of one engine, by number of frames."""

    def __init__(self) -> None:
        self._graphs: OrderedDict[int, tuple[CapturedGraph, Any]] = OrderedDict()
        self._last: int | None = None
        self._refusal: str | None = None

    @property
    def words(self) -> str:
        """Whether graphs are used."""
        return "CUDA graphs" if self._refusal is None else f"no CUDA graphs ({self._refusal})"

    def run(self, num_frames: int, enqueue: Callable[[], None], capture: Callable[[], tuple[CapturedGraph, Any]]) -> None:
        """Put a run on the stream: a graph, or what `enqueue` puts there.

        `capture` makes a graph, and what must live as long as it.

        Raises:
            BackendError: what `enqueue` raised, or a graph that cannot be launched.
        """
        came_before, self._last = self._last == num_frames, num_frames
        if num_frames not in self._graphs and came_before and self._refusal is None:
            self._add(num_frames, capture)
        if num_frames in self._graphs:
            self._graphs.move_to_end(num_frames)
            self._graphs[num_frames][0].launch()
        else:
            enqueue()

    def _add(self, num_frames: int, capture: Callable[[], tuple[CapturedGraph, Any]]) -> None:
        while len(self._graphs) >= MAX_GRAPHS:
            _, (oldest, _) = self._graphs.popitem(last=False)
            oldest.close()
        try:
            self._graphs[num_frames] = capture()
        except BackendError as error:
            self._refusal = str(error)
