"""The language thread: owns the language model and its KV cache, and makes one answer after the other.

Answers go to their buffers at the model's own speed, whether anyone reads or not. The visual prefix in the cache is used again as long as questions
bring the same one. While no question waits, the newest visual prefix of the stream in focus is prefilled in the background. Knows questions and
grounds; does not know videos.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from redvillm.errors import BackendError, QuestionError, RedvillmError, StreamClosedError
from redvillm.runtime.answer import Answer
from redvillm.runtime.answer_buffer import AnswerBuffer
from redvillm.runtime.answer_stats import AnswerStats
from redvillm.runtime.background import BackgroundPrefill, Subject
from redvillm.runtime.evidence import Grounds, Turn, VisualPrefix
from redvillm.runtime.language_protocol import Language
from redvillm.runtime.options import GenerationOptions
from redvillm.runtime.question_queue import QuestionQueue
from redvillm.runtime.timings import AnswerMoments, answer_timings

if TYPE_CHECKING:
    from redvillm.runtime.language import TokenPiece

MAX_WAITING_QUESTIONS = 16


@dataclass(frozen=True, kw_only=True)
class Ask:
    """What is asked.

    Attributes:
        question: in words.
        options: how to generate.
        draft: a guess at the tokens of the answer, used by greedy decoding.
        is_judged: answer by yes or no with a probability, in one pass.
    """

    question: str
    options: GenerationOptions
    draft: tuple[int, ...] = ()
    is_judged: bool = False


@dataclass(frozen=True, eq=False)
class _Job:
    ask: Ask
    asked_s: float
    submitted_s: float
    grounds: Callable[[Turn], Grounds]
    buffer: AnswerBuffer


class LanguageWorker:
    """The language thread and its queue of questions, at most MAX_WAITING_QUESTIONS long."""

    def __init__(self, language: Language) -> None:
        self._language = language
        self._jobs: QuestionQueue[_Job] = QuestionQueue(MAX_WAITING_QUESTIONS)
        self._background = BackgroundPrefill()
        self._loaded: VisualPrefix | None = None
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
        return len(self._jobs)

    def check_fits(self, question: str, num_visual_tokens: int, options: GenerationOptions) -> None:
        """Check a question before anything runs.

        Raises:
            QuestionError: empty, too long or not valid text.
            ContextOverflowError: prompt and answer do not fit.
        """
        self._language.check_fits(question, num_visual_tokens, options)

    def submit(self, ask: Ask, grounds: Callable[[Turn], Grounds], *, asked_s: float, wait: bool) -> Answer:
        """Queue a question; return its answer at once.

        `grounds(turn)` is called in the language thread when the question's turn comes; it may wait as long as `turn.give_up()` is false.
        With `wait`, a full queue is waited for, otherwise it is an error.

        Raises:
            QuestionError: the queue is full.
            StreamClosedError: the model was closed.
        """
        buffer = AnswerBuffer()
        if not self._jobs.put(_Job(ask, asked_s, time.perf_counter(), grounds, buffer), wait=wait):
            if self._jobs.is_closed:
                raise StreamClosedError("the model was closed; load it again to ask")
            raise QuestionError(f"{MAX_WAITING_QUESTIONS} questions wait already; wait for an answer before asking more")
        return Answer(ask.question, buffer)

    def focus(self, subject: Subject, interval_s: float) -> None:
        """Prefill the newest visual prefix of `subject` whenever no question waits, starting at most once per `interval_s`."""
        self._background.focus(subject, interval_s)
        self._jobs.wake()

    def leave(self, subject: Subject) -> None:
        """Prefill for `subject` no more."""
        self._background.leave(subject)

    def wake(self) -> None:
        """Look whether the subject in focus has a newer visual prefix."""
        self._jobs.wake()

    def close(self, timeout_s: float = 1.0) -> bool:
        """End the thread at the next token and fail what is unanswered; return whether it ended in time."""
        for job in self._jobs.close():
            job.buffer.fail(_closed_error())
        current = self._current
        if current is not None:
            current.cancel()
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._jobs.is_closed:
            due_s = self._background.due_s(self._loaded)
            if due_s is not None and due_s <= time.perf_counter() and not len(self._jobs):
                self._background.run(self._prefill, lambda: bool(len(self._jobs)) or self._jobs.is_closed)
                continue
            job = self._jobs.take(due_s)
            if job is not None:
                self._current = job.buffer
                self._settle(job)
                self._current = None

    def _prefill(self, prefix: VisualPrefix, should_cancel: Callable[[], bool]) -> bool:
        try:
            is_complete = self._language.try_prefill(prefix.segments, should_cancel)
        except BaseException:
            self._loaded = None
            raise
        if is_complete:
            self._loaded = prefix
        return is_complete

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
            return job.buffer.is_cancelled or self._jobs.is_closed

        started_s = time.perf_counter()
        if give_up():
            raise _closed_error()
        grounds = job.grounds(Turn(give_up, lambda prefix: prefix is self._loaded))
        job.buffer.begin(grounds.evidence)
        prefill_ms = self._ensure_prefix(grounds.prefix)
        generate_s = time.perf_counter()
        pieces, yes_probability = self._stream(job, give_up)
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
                num_visual_tokens=grounds.prefix.num_visual_tokens,
                num_prefix_tokens=self._language.prefix_length_tokens,
                prefix_reused=prefill_ms is None,
                num_new_tokens=len(pieces),
                finish=pieces[-1].finish or "length",
                provider=self._language.provider,
                threads=self._language.threads,
                options=job.ask.options,
                num_draft_tokens=len(job.ask.draft) if job.ask.options.temperature == 0 and not job.ask.is_judged else 0,
                num_accepted_tokens=sum(piece.drafted for piece in pieces),
                yes_probability=yes_probability,
            ),
        )

    def _ensure_prefix(self, prefix: VisualPrefix) -> float | None:
        """Put `prefix` into the cache; return the milliseconds it took, None when it was there."""
        if self._loaded is prefix:
            return None
        start_s = time.perf_counter()
        self._prefill(prefix, lambda: False)
        return (time.perf_counter() - start_s) * 1e3

    def _stream(self, job: _Job, give_up: Callable[[], bool]) -> "tuple[list[TokenPiece], float | None]":
        if job.ask.is_judged:
            piece, probability = self._language.judge(job.ask.question)
            job.buffer.add(piece)
            return [piece], probability
        pieces = []
        for piece in self._language.generate(job.ask.question, job.ask.options, job.ask.draft):
            if give_up():
                raise _closed_error()
            pieces.append(piece)
            job.buffer.add(piece)
        if not pieces:
            raise BackendError("the language model gave no token; export the bundle again")
        return pieces, None


def _closed_error() -> StreamClosedError:
    return StreamClosedError("closed while the answer was being made")
