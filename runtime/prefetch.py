"""Running an iterator ahead in a thread, a bounded number of items, so that two stages overlap.

Knows iterators and threads; does not know what the items are.
"""

import queue
import threading
from collections.abc import Generator, Iterable
from typing import TypeVar

Item = TypeVar("Item")
_POLL_S = 0.05


class _End:
    """Last thing in the queue: the end of the iterator, or the error it raised."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


def run_ahead(items: Iterable[Item], max_ahead: int) -> Generator[list[Item], None, None]:
    """Yield lists of the items that are ready, at least one and at most `max_ahead` each, in order.

    An exception of the iterator is raised here. When the consumer stops early, the thread ends at the next item.
    """
    ready: queue.Queue[Item | _End] = queue.Queue(max_ahead)
    stop = threading.Event()

    def hand_over(item: Item | _End) -> None:
        while not stop.is_set():
            try:
                ready.put(item, timeout=_POLL_S)
            except queue.Full:
                continue
            return

    def produce() -> None:
        error: BaseException | None = None
        try:
            for item in items:
                hand_over(item)
                if stop.is_set():
                    return
        except BaseException as raised:
            error = raised
        hand_over(_End(error))

    thread = threading.Thread(target=produce, name="redvillm-decode", daemon=True)
    thread.start()
    try:
        yield from _batches(ready, max_ahead)
    finally:
        stop.set()
        thread.join(timeout=1.0)


def _batches(ready: "queue.Queue[Item | _End]", max_ahead: int) -> Generator[list[Item], None, None]:
    while True:
        batch: list[Item] = []
        entry = ready.get()
        while not isinstance(entry, _End):
            batch.append(entry)
            if len(batch) == max_ahead or ready.empty():
                break
            entry = ready.get()
        if batch:
            yield batch
        if isinstance(entry, _End):
            if entry.error is not None:
                raise entry.error
            return
