"""The language thread: owns the language model and its KV cache, and makes one answer after the other.

Answers go to their buffers at the model's own speed, whether anyone reads or not. The visual prefix in the cache is used again as long
as questions bring the same one; `_ensure_prefix` is the one place that replaces it, so that a background prefill has one place to
call. Knows questions and grounds; does not know videos.
"""

import contextlib
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from redvillm.errors import BackendError, QuestionError, RedvillmError, StreamClosedError
from redvillm.runtime.answer import Answer
from redvillm.runtime.answer_buffer import AnswerBuffer
from redvillm.runtime.answer_stats import AnswerStats
from redvillm.runtime.evidence import Grounds, VisualPrefix
from redvillm.runtime.language_protocol import Language
from redvillm.runtime.options import GenerationOptions
from redvillm.runtime.timings import AnswerMoments, answer_timings

if TYPE_CHECKING:
    from redvillm.runtime.language import TokenPiece

MAX_WAITING_QUESTIONS = 16


@dataclass(frozen=True, eq=False)
class _Job:
    question: str
    options: GenerationOptions
    asked_s: float
    submitted_s: float
    grounds: Callable[[Callable[[], bool]], Grounds]
    buffer: AnswerBuffer


class LanguageWorker:
    """The language thread and its queue of questions, at most MAX_WAITING_QUESTIONS long."""

    def __init__(self, language: Language) -> None:
        self._language = language
        self._jobs: queue.Queue[_Job | None] = queue.Queue(MAX_WAITING_QUESTIONS)
        self._loaded: VisualPrefix | None = None
        self._closed = threading.Event()
        self._current: AnswerBuffer | None = None
        self._thread = threading.Thread(target=self._run, name="redvillm-language", daemon=True)
        self._thread.start()

    @property
    def provider(self) -> str:
        """What the language model runs on."""
        return self._language.provider

    @property
    def threads(self) -> int:
        """Threads it runs with."""
        return self._language.threads

    @property
    def num_waiting(self) -> int:
        """Questions that wait for their turn."""
        return self._jobs.qsize()

    def check_fits(self, question: str, num_visual_tokens: int, options: GenerationOptions) -> None:
        """Check a question before anything runs.

        Raises:
            QuestionError: empty, too long or not valid text.
            ContextOverflowError: prompt and answer do not fit.
        """
        self._language.check_fits(question, num_visual_tokens, options)

    def submit(
        self,
        question: str,
        options: GenerationOptions,
        grounds: Callable[[Callable[[], bool]], Grounds],
        *,
        asked_s: float,
        wait: bool,
    ) -> Answer:
        """Queue a question; return its answer at once.

        `grounds(give_up)` is called in the language thread when the question's turn comes; it may wait as long as `give_up()` is false.
        With `wait`, a full queue is waited for, otherwise it is an error.

        Raises:
            QuestionError: the queue is full.
            StreamClosedError: the model was closed.
        """
        buffer = AnswerBuffer()
        job = _Job(question, options, asked_s, time.perf_counter(), grounds, buffer)
        while True:
            if self._closed.is_set():
                raise StreamClosedError("the model was closed; load it again to ask")
            try:
                self._jobs.put(job, timeout=0.05) if wait else self._jobs.put_nowait(job)
            except queue.Full:
                if wait:
                    continue
                raise QuestionError(f"{MAX_WAITING_QUESTIONS} questions wait already; wait for an answer before asking more") from None
            break
        if self._closed.is_set():  # closed in between: nobody may come for this job
            buffer.fail(_closed_error())
        return Answer(question, buffer)

    def close(self, timeout_s: float = 1.0) -> bool:
        """End the thread at the next token and fail what is unanswered; return whether it ended in time."""
        self._closed.set()
        current = self._current
        if current is not None:
            current.cancel()
        self._fail_waiting()
        with contextlib.suppress(queue.Full):  # a queue that is full again wakes the thread as well
            self._jobs.put_nowait(None)
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._closed.is_set():
            job = self._jobs.get()
            if job is not None:
                self._current = job.buffer
                self._settle(job)
                self._current = None
        self._fail_waiting()

    def _fail_waiting(self) -> None:
        while True:
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                return
            if job is not None:
                job.buffer.fail(_closed_error())

    def _settle(self, job: _Job) -> None:
        try:
            self._answer(job)
        except RedvillmError as error:
            job.buffer.fail(error)
        except Exception as error:
            self._loaded = None
            failure = BackendError(f"making the answer failed: {type(error).__name__}: {error}")
            failure.__cause__ = error
            job.buffer.fail(failure)

    def _answer(self, job: _Job) -> None:
        def give_up() -> bool:
            return job.buffer.is_cancelled or self._closed.is_set()

        started_s = time.perf_counter()
        if give_up():
            raise _closed_error()
        grounds = job.grounds(give_up)
        job.buffer.begin(grounds.evidence)
        prefill_ms = self._ensure_prefix(grounds.prefix)
        generate_s = time.perf_counter()
        pieces = self._stream(job, give_up)
        job.buffer.finish(
            answer_timings(
                grounds.timings,
                AnswerMoments(
                    asked_s=job.asked_s,
                    submitted_s=job.submitted_s,
                    started_s=started_s,
                    prefill_ms=prefill_ms or 0.0,
                    generate_s=generate_s,
                    first_token_s=pieces[0].time_s,
                    last_token_s=pieces[-1].time_s,
                    num_new_tokens=len(pieces),
                    newest_frame_s=grounds.newest_frame_s,
                ),
            ),
            AnswerStats(
                num_visual_tokens=len(grounds.prefix.visual_tokens),
                num_prefix_tokens=self._language.prefix_length_tokens,
                prefix_reused=prefill_ms is None,
                num_new_tokens=len(pieces),
                finish=pieces[-1].finish or "length",
                provider=self._language.provider,
                threads=self._language.threads,
                options=job.options,
            ),
        )

    def _ensure_prefix(self, prefix: VisualPrefix) -> float | None:
        """Put `prefix` into the cache; return the milliseconds it took, None when it was there."""
        if self._loaded is prefix:
            return None
        self._loaded = None
        start_s = time.perf_counter()
        self._language.prefill(prefix.visual_tokens)
        self._loaded = prefix
        return (time.perf_counter() - start_s) * 1e3

    def _stream(self, job: _Job, give_up: Callable[[], bool]) -> "list[TokenPiece]":
        pieces = []
        for piece in self._language.generate(job.question, job.options):
            if give_up():
                raise _closed_error()
            pieces.append(piece)
            job.buffer.add(piece)
        if not pieces:
            raise BackendError("the language model gave no token; export the bundle again")
        return pieces


def _closed_error() -> StreamClosedError:
    return StreamClosedError("closed while the answer was being made")
