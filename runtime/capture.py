"""The capture thread: drains a source to its newest frame, settles every frame in the books, and survives the source's absence.

Knows sources, the slot and the books; does not know perception.
"""

import dataclasses
import threading
import time
from collections.abc import Callable

from redvillm.errors import BackendError, OptionsError, RedvillmError, SourceLostError, SourceNotFoundError
from redvillm.runtime.drops import DropReason, FrameLedger
from redvillm.runtime.frame import Frame
from redvillm.runtime.health import SourceHealth, SourceState
from redvillm.runtime.meter import RateMeter
from redvillm.runtime.sampler import RateSampler
from redvillm.runtime.slot import FrameSlot
from redvillm.runtime.source import Mark, Source

_FIRST_RETRY_S = 0.5
_LONGEST_RETRY_S = 8.0
_LONGEST_PAUSE_S = 5.0  # a larger jump of the clip time is a damaged time stamp
_POLL_S = 0.1


class CaptureThread:
    """Reads `source` until it ends, fails or `stop` is set. Owns the source."""

    def __init__(
        self,
        source: Source,
        slot: FrameSlot,
        ledger: FrameLedger,
        health: SourceHealth,
        *,
        give_up_after_s: float,
        sampler: RateSampler | None = None,
        on_offer: Callable[[Frame], None] = lambda _: None,
    ) -> None:
        """Be ready to read.

        With a `sampler`, a source that has times is read as fast as perception takes frames, and the sampler chooses them by their times.
        `on_offer` is called with each frame that perception is offered, in this thread.
        """
        self.meter = RateMeter()
        self.last_frame_s: float | None = None
        self.decode_ms = 0.0
        self._source = source
        self._slot = slot
        self._ledger = ledger
        self._health = health
        self._give_up_after_s = give_up_after_s
        self._sampler = sampler
        self._on_offer = on_offer
        self._stop = threading.Event()
        self._start_s: float | None = None
        self._alive_s = 0.0
        self._thread = threading.Thread(target=self._run, name="redvillm-capture", daemon=True)

    def start(self) -> None:
        """Start reading."""
        self._thread.start()

    def stop(self) -> None:
        """Ask the thread to end; it does so at the next frame or time limit of its source."""
        self._stop.set()

    def join(self, timeout_s: float) -> bool:
        """Wait for the end; return whether it came."""
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._source.open()
            if self._sampler is not None and not self._source.is_paced:
                raise OptionsError(f"speed is 'max', and {self._source.name} has its own speed only; 'max' plays files and traces")
            self._alive_s = time.perf_counter()
            self._health.set(SourceState.RUNNING, f"reading {self._source.name}")
            self._drain()
        except RedvillmError as error:
            self._health.fail(error)
        except Exception as error:
            failure = BackendError(f"reading {self._source.name} failed: {type(error).__name__}: {error}")
            failure.__cause__ = error
            self._health.fail(failure)
        finally:
            self._slot.close()
            self._source.close()

    def _drain(self) -> None:
        while not self._stop.is_set() and not self._health.report.is_final:
            try:
                mark = self._source.grab()
            except SourceLostError as error:
                self._recover(error)
                continue
            if mark is None:
                self._health.set(SourceState.ENDED, f"{self._source.name} {self._source.ending}")
                return
            if self._sampler is not None:
                self._settle_by_clip_time(self._sampler, mark)
            elif self._wait_until_due(mark):
                self._settle()

    def _wait_until_due(self, mark: Mark) -> bool:
        """Wait as a paced source asks; return False when asked to stop.

        A frame that will not be wanted when its time comes is not waited for: several read in one go cost half of what they cost one by one.
        """
        if not self._source.is_paced or mark.clip_time_s is None:
            return True
        now_s = time.perf_counter()
        if self._start_s is None:
            self._start_s = now_s - mark.clip_time_s
        delay_s = self._start_s + mark.clip_time_s - now_s
        if delay_s > _LONGEST_PAUSE_S and not mark.is_exact:
            self._start_s, delay_s = now_s - mark.clip_time_s, 0.0
        return delay_s <= 0 or self._slot.refuses_at(now_s + delay_s) or not self._stop.wait(delay_s)

    def _settle_by_clip_time(self, sampler: RateSampler, mark: Mark) -> None:
        """Drop the frame if it is not due by its own time; else wait until perception wants one, and offer it."""
        is_due = mark.clip_time_s is None or sampler.take(mark.clip_time_s)
        while is_due and not self._slot.wait_wanted(_POLL_S):
            if self._stop.is_set():
                return
        captured_s = self._count()
        if is_due:
            self._offer(captured_s)
        else:
            self._ledger.drop(DropReason.RATE)

    def _settle(self) -> None:
        captured_s = self._count()
        refusal = self._slot.refusal
        if refusal is not None:
            self._ledger.drop(refusal)
        else:
            self._offer(captured_s)

    def _count(self) -> float:
        captured_s = time.perf_counter()
        self.last_frame_s = self._alive_s = captured_s
        self.meter.tick(captured_s)
        self._ledger.capture()
        return captured_s

    def _offer(self, captured_s: float) -> None:
        frame = self._source.retrieve()
        self.decode_ms = (time.perf_counter() - captured_s) * 1e3
        if frame is None:
            self._ledger.drop(DropReason.DECODE_ERROR)
            return
        frame = dataclasses.replace(frame, captured_s=captured_s)
        self._on_offer(frame)
        if self._slot.put(frame) is not None:
            self._ledger.drop(DropReason.BUSY)

    def _recover(self, lost: SourceLostError) -> None:
        """Open the source again, waiting longer after each failure.

        Raises:
            SourceLostError: it cannot return, or did not within the time.
        """
        self._source.close()
        retry_s, attempt = _FIRST_RETRY_S, 0
        while self._source.can_return and time.perf_counter() - self._alive_s < self._give_up_after_s:
            attempt += 1
            self._health.set(SourceState.RECONNECTING, f"{lost} Trying again in {retry_s:g} s (attempt {attempt})")
            if self._stop.wait(retry_s):
                return
            retry_s = min(retry_s * 2, _LONGEST_RETRY_S)
            try:
                self._source.open()
            except SourceNotFoundError:
                continue
            self._health.set(SourceState.RUNNING, f"reading {self._source.name} again")
            return
        waited = f" It did not come back within {self._give_up_after_s:g} s." if self._source.can_return else ""
        raise SourceLostError(f"{lost}{waited}") from lost
