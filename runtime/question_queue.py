"""The questions that wait for the language thread, and its sleep between them.

Knows order, a limit and waking; does not know what a question is.
"""

import threading
import time
from collections import deque
from typing import Generic, TypeVar

Item = TypeVar("Item")


class QuestionQueue(Generic[Item]):
    """At most `max_items`, first come, first served. One thread takes, any thread puts, wakes and closes."""

    def __init__(self, max_items: int) -> None:
        self._condition = threading.Condition()
        self._items: deque[Item] = deque()
        self._max_items = max_items
        self._woken = False
        self._closed = False

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._items)

    def put(self, item: Item, *, wait: bool) -> bool:
        """Append `item`; return False when the queue is closed, or full and not to be waited for."""
        with self._condition:
            if wait:
                self._condition.wait_for(lambda: self._closed or len(self._items) < self._max_items)
            if self._closed or len(self._items) >= self._max_items:
                return False
            self._items.append(item)
            self._condition.notify_all()
            return True

    def wake(self) -> None:
        """End a sleep of `take` without an item."""
        with self._condition:
            self._woken = True
            self._condition.notify_all()

    def take(self, until_s: float | None) -> Item | None:
        """Wait for an item and take it; None when woken, when closed, or at `until_s` on the clock of time.perf_counter."""
        with self._condition:
            timeout_s = None if until_s is None else max(0.0, until_s - time.perf_counter())
            self._condition.wait_for(lambda: self._items or self._woken or self._closed, timeout_s)
            self._woken = False
            if not self._items or self._closed:
                return None
            item = self._items.popleft()
            self._condition.notify_all()
            return item

    @property
    def is_closed(self) -> bool:
        """Whether nothing is taken any more."""
        return self._closed

    def close(self) -> list[Item]:
        """Take nothing more in; return what waited."""
        with self._condition:
            self._closed = True
            left = list(self._items)
            self._items.clear()
            self._condition.notify_all()
            return left
