"""The perception thread: takes the newest frame at the asked rate, gates it, encodes it, and publishes an immutable snapshot.

Knows the slot, the gate, the encoder and the window; does not know sources, alignment or questions.
"""

import math
import threading
import time
from collections.abc import Callable

from redvillm.errors import BackendError, RedvillmError
from redvillm.manifest import FitSpec
from redvillm.runtime.drops import DropReason, FrameLedger
from redvillm.runtime.frame import Frame
from redvillm.runtime.gate import Gate, Verdict
from redvillm.runtime.health import SourceHealth
from redvillm.runtime.meter import RateMeter
from redvillm.runtime.preprocess import fit_frame
from redvillm.runtime.sampler import EARLY
from redvillm.runtime.slot import FrameSlot
from redvillm.runtime.timings import Stopwatch
from redvillm.runtime.window import FrameEncoder, Snapshot, Window

_POLL_S = 0.1


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
        fit: FitSpec,
        rate_hz: float,
        max_age_s: float,
        idle_rate_hz: float = math.inf,
        on_snapshot: Callable[[], None] = lambda: None,
    ) -> None:
        """Be ready to perceive.

        `on_snapshot` is called after each new snapshot, in this thread. An infinite `rate_hz` takes each frame as soon as the last is done. While
        every frame in the window looks the same, no more than `idle_rate_hz` are looked at.
        """
        self.meter = RateMeter()
        self._slot = slot
        self._ledger = ledger
        self._health = health
        self._encoder = encoder
        self._window = window
        self._gate = gate
        self._fit = fit
        self._period_s = 1.0 / rate_hz
        self._idle_period_s = max(self._period_s, 1.0 / idle_rate_hz)
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
            period_s = self._idle_period_s if self._settle(frame) else self._period_s
            now_s = time.perf_counter()
            due_s = max(due_s + period_s, now_s - period_s)  # a missed turn is not made up for
            pause_s = due_s - period_s * EARLY - now_s
            if pause_s > 0:
                self._slot.refuse(DropReason.RATE, now_s + pause_s)
                self._slot.wait_closed(pause_s)
            self._slot.request()

    def _settle(self, frame: Frame) -> bool:
        """Use or drop the frame; return whether nothing in the window could change by it."""
        if time.perf_counter() - frame.captured_s > self._max_age_s:
            self._ledger.drop(DropReason.STALE)
            return False
        verdict = self._gate.judge(frame)
        if verdict is Verdict.DUPLICATE:
            snapshot = self._window.repeat(frame)
            self._ledger.drop(DropReason.DUPLICATE)
            if snapshot is None:
                return True
            self._publish(snapshot)
            return False
        stopwatch = Stopwatch()
        with stopwatch.measure("preprocess"):
            pixels = fit_frame(frame, self._fit)
        with stopwatch.measure("encode"):
            features = self._encoder.encode(pixels[None])[0]
        snapshot = self._window.push(features, frame, stopwatch, is_alike=verdict is Verdict.REFRESH)
        self._ledger.use()
        self.meter.tick(time.perf_counter())
        self._publish(snapshot)
        return False

    def _publish(self, snapshot: Snapshot) -> None:
        with self._changed:
            self._snapshot = snapshot
            self._changed.notify_all()
        self._on_snapshot()
