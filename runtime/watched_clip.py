"""A clip that was watched: any number of questions share its visual prefix.

Knows grounds and the language thread; does not know decoding or graphs.
"""

import time

import numpy as np
from numpy.typing import NDArray

from redvillm.runtime.answer import Answer
from redvillm.runtime.evidence import Evidence, Grounds
from redvillm.runtime.language_worker import Ask, LanguageWorker
from redvillm.runtime.options import GenerationOptions
from redvillm.runtime.timings import PerceptionTimings


class Clip:
    """A clip that was watched: any number of questions share its visual prefix. Made by `Model.watch`."""

    def __init__(self, grounds: Grounds, worker: LanguageWorker) -> None:
        self._grounds = grounds
        self._worker = worker

    @property
    def evidence(self) -> Evidence:
        """Frames used and notes about the clip."""
        return self._grounds.evidence

    @property
    def visual_tokens(self) -> NDArray[np.float32]:
        """What the language model sees of the clip, float32 [N + T + M, H]."""
        return self._grounds.prefix.visual_tokens

    @property
    def timings(self) -> PerceptionTimings:
        """What watching took."""
        return self._grounds.timings

    def ask(self, question: str, *, options: GenerationOptions | None = None) -> Answer:
        """Ask about the clip; returns at once, the answer comes piece by piece.

        Raises:
            QuestionError: empty, too long or not valid text.
            ContextOverflowError: prompt and answer do not fit the decoder's context.
            StreamClosedError: the model was closed.
        """
        return self.ask_since(question, options or GenerationOptions(), time.perf_counter())

    def ask_since(self, question: str, options: GenerationOptions, asked_s: float) -> Answer:
        """As `ask`, with the timings counted from `asked_s` (on the clock of `time.perf_counter`)."""
        self._worker.check_fits(question, self._grounds.prefix.num_visual_tokens, options)
        return self._worker.submit(Ask(question=question, options=options), lambda _: self._grounds, asked_s=asked_s, wait=True)
