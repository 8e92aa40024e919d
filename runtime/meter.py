"""Events per second over the recent past.

Knows times; does not know what the events are.
"""

import threading
from collections import deque


class RateMeter:
    """Rate over the last `window_s` seconds: N events span N - 1 intervals. Any thread may call it."""

    def __init__(self, window_s: float = 2.0) -> None:
        self._window_s = window_s
        self._times_s: deque[float] = deque(maxlen=4096)
        self._lock = threading.Lock()

    def tick(self, now_s: float) -> None:
        """Note an event."""
        with self._lock:
            self._times_s.append(now_s)
            self._forget(now_s)

    def rate_hz(self, now_s: float) -> float:
        """Return events per second; 0 with fewer than two recent events."""
        with self._lock:
            self._forget(now_s)
            if len(self._times_s) < 2:
                return 0.0
            span_s = self._times_s[-1] - self._times_s[0]
            return (len(self._times_s) - 1) / span_s if span_s > 0 else 0.0

    def _forget(self, now_s: float) -> None:
        while self._times_s and now_s - self._times_s[0] > self._window_s:
            self._times_s.popleft()
