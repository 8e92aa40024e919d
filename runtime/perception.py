"""The perception thread: takes the newest frame at the asked rate, gates it, encodes it, and publishes an immutable snapshot.

Knows the slot, the gate, the encoder and the window; does not know sources, alignment or questions.
"""

import threading
import time
from collections.abc import Callable

from redvillm.errors import BackendError, RedvillmError
from redvillm.runtime.drops import DropReason, FrameLedger
from redvillm.runtime.frame import Frame
from redvillm.runtime.gate import Gate
from redvillm.runtime.health import SourceHealth
from redvillm.runtime.meter import RateMeter
from redvillm.runtime.preprocess import squash
from redvillm.runtime.slot import FrameSlot
from redvillm.runtime.timings import Stopwatch
from redvillm.runtime.window import FrameEncoder, Snapshot, Window

_POLL_S = 0.1
_EARLY = 0.25  # of a period: a source at about the asked rate is not halved by jitter


class PerceptionThread:
    """Feeds the window until the slot is closed and empty, or `stop` is called. Owns encoder, gate and window."""

    def __init__(
        self,
        slot: FrameSlot,
        ledger: FrameLedger,
        health: SourceHealth,
        *,
        encoder: FrameEncoder,
        window: Window,
        gate: Gate,
        image_size: int,
        rate_hz: float,
        max_age_s: float,
        on_snapshot: Callable[[], None] = lambda: None,
    ) -> None:
        """`on_snapshot` is called after each new snapshot, in this thread."""
        self.meter = RateMeter()
        self._slot = slot
        self._ledger = ledger
        self._health = health
        self._encoder = encoder
        self._window = window
        self._gate = gate
        self._image_size = image_size
        self._period_s = 1.0 / rate_hz
        self._max_age_s = max_age_s
        self._on_snapshot = on_snapshot
        self._stop = threading.Event()
        self._changed = threading.Condition()
        self._snapshot: Snapshot | None = None
        self._done = False
        self._thread = threading.Thread(target=self._run, name="redvillm-perception", daemon=True)

    def start(self) -> None:
        """Start perceiving."""
        self._thread.start()

    def stop(self) -> None:
        """Ask the thread to end; it does so after the frame at hand."""
        self._stop.set()
        self._slot.close()
        with self._changed:
            self._changed.notify_all()

    def join(self, timeout_s: float | None) -> bool:
        """Wait for the end; return whether it came."""
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    @property
    def snapshot(self) -> Snapshot | None:
        """The newest snapshot, None before the first frame."""
        with self._changed:
            return self._snapshot

    def wait_snapshot(self, timeout_s: float, give_up: Callable[[], bool]) -> Snapshot | None:
        """Wait for the first snapshot; None after the timeout, when `give_up` returns true, or when none can come any more."""
        deadline_s = time.perf_counter() + timeout_s
        with self._changed:
            while self._snapshot is None and not self._done and not self._stop.is_set() and not give_up():
                left_s = deadline_s - time.perf_counter()
                if left_s <= 0:
                    break
                self._changed.wait(min(left_s, _POLL_S))
            return self._snapshot

    def _run(self) -> None:
        try:
            self._perceive()
        except RedvillmError as error:
            self._health.fail(error)
        except Exception as error:
            failure = BackendError(f"perception failed: {type(error).__name__}: {error}")
            failure.__cause__ = error
            self._health.fail(failure)
        finally:
            self._slot.refuse(DropReason.BUSY)
            with self._changed:
                self._done = True
                self._changed.notify_all()

    def _perceive(self) -> None:
        due_s = time.perf_counter()
        while not self._stop.is_set():
            frame = self._slot.take(_POLL_S)
            if frame is None:
                if self._slot.is_over:
                    return
                continue
            self._settle(frame)
            now_s = time.perf_counter()
            due_s = max(due_s + self._period_s, now_s - self._period_s)  # a missed turn is not made up for
            pause_s = due_s - self._period_s * _EARLY - now_s
            if pause_s > 0:
                self._slot.refuse(DropReason.RATE)
                self._slot.wait_closed(pause_s)
            self._slot.request()

    def _settle(self, frame: Frame) -> None:
        if time.perf_counter() - frame.captured_s > self._max_age_s:
            self._ledger.drop(DropReason.STALE)
            return
        stopwatch = Stopwatch()
        with stopwatch.measure("preprocess"):
            pixels = squash(frame, self._image_size)
        refusal = self._gate.judge(pixels)
        if refusal is not None:
            self._ledger.drop(refusal)
            return
        with stopwatch.measure("encode"):
            features = self._encoder.encode(pixels[None])[0]
        snapshot = self._window.push(features, frame, stopwatch)
        self._ledger.use()
        self.meter.tick(time.perf_counter())
        with self._changed:
            self._snapshot = snapshot
            self._changed.notify_all()
        self._on_snapshot()
