"""Where the time went: a stopwatch of stages, and the figures that an answer carries.

All in milliseconds of wall time, on the clock of `time.perf_counter`. Does not know what the stages do.
"""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass


class Stopwatch:
    """Adds up wall time by stage. Stages may run in different threads, each stage in one."""

    def __init__(self) -> None:
        self._spent_s: dict[str, float] = {}

    @contextlib.contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        """Add the time of the block to `stage`, also when the block raises."""
        start_s = time.perf_counter()
        try:
            yield
        finally:
            self._spent_s[stage] = self._spent_s.get(stage, 0.0) + time.perf_counter() - start_s

    def spent_ms(self, stage: str) -> float:
        """Return the milliseconds spent in `stage` so far."""
        return self._spent_s.get(stage, 0.0) * 1e3


@dataclass(frozen=True, kw_only=True)
class PerceptionTimings:
    """Stages before the language model.

    Of a clip: sums over its frames (decoding overlaps the rest, so they may add up to more than `wall_ms`).
    Live: of the newest frame used. `newest_frame_ms` is the time from the newest frame of a file, decoded, to the visual tokens.
    """

    decode_ms: float
    preprocess_ms: float
    encode_ms: float
    pool_ms: float
    align_ms: float
    wall_ms: float
    newest_frame_ms: float | None = None


@dataclass(frozen=True, kw_only=True)
class Timings:
    """Timings of one answer.

    Attributes:
        decode_ms: reading and decoding frames.
        preprocess_ms: resizing.
        encode_ms: vision encoder.
        pool_ms: pooling and window update.
        align_ms: alignment of the pooled streams to visual tokens.
        perception_ms: wall time of the above; answers about one clip share it.
        queue_ms: waiting for the language thread.
        prefill_ms: system prompt and visual tokens; 0 when the visual prefix was in the cache.
        first_token_ms: the question's own tokens and the first new token.
        per_token_ms: mean of the tokens after the first (TPOT), None with fewer than two.
        ttft_ms: from asking to the first token; with `Model.ask`, perception included.
        total_ms: from asking to the last token.
        frame_to_first_token_ms: from the capture of the newest frame used to the first token; None for a clip.
        frame_to_last_token_ms: the same to the last token.
    """

    decode_ms: float
    preprocess_ms: float
    encode_ms: float
    pool_ms: float
    align_ms: float
    perception_ms: float
    queue_ms: float
    prefill_ms: float
    first_token_ms: float
    per_token_ms: float | None
    ttft_ms: float
    total_ms: float
    frame_to_first_token_ms: float | None
    frame_to_last_token_ms: float | None


@dataclass(frozen=True, kw_only=True)
class AnswerMoments:
    """Points of time of one answer, seconds on the clock of `time.perf_counter`."""

    asked_s: float
    submitted_s: float
    started_s: float
    prefill_ms: float
    generate_s: float
    first_token_s: float
    last_token_s: float
    num_new_tokens: int
    newest_frame_s: float | None


def answer_timings(perception: PerceptionTimings, moments: AnswerMoments) -> Timings:
    """Return the figures of an answer from the points of time."""
    steps = moments.num_new_tokens - 1
    frame_s = moments.newest_frame_s
    return Timings(
        decode_ms=perception.decode_ms,
        preprocess_ms=perception.preprocess_ms,
        encode_ms=perception.encode_ms,
        pool_ms=perception.pool_ms,
        align_ms=perception.align_ms,
        perception_ms=perception.wall_ms,
        queue_ms=(moments.started_s - moments.submitted_s) * 1e3,
        prefill_ms=moments.prefill_ms,
        first_token_ms=(moments.first_token_s - moments.generate_s) * 1e3,
        per_token_ms=(moments.last_token_s - moments.first_token_s) * 1e3 / steps if steps > 0 else None,
        ttft_ms=(moments.first_token_s - moments.asked_s) * 1e3,
        total_ms=(moments.last_token_s - moments.asked_s) * 1e3,
        frame_to_first_token_ms=None if frame_s is None else (moments.first_token_s - frame_s) * 1e3,
        frame_to_last_token_ms=None if frame_s is None else (moments.last_token_s - frame_s) * 1e3,
    )
