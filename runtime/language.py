"""The language model of a bundle: visual tokens and a question in, an answer piece by piece.

The cache holds system prompt | visual tokens (the visual prefix) | question | answer. A question rewinds to the end of the visual prefix, new visual
tokens to the end of the system prompt, so that what stays is never computed again. Knows prompt and decoder; does not know videos or threads.
One owner thread.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from redvillm.errors import BackendError, ContextOverflowError, OptionsError, StreamClosedError
from redvillm.manifest import Files, Graphs, Manifest
from redvillm.prompt import Prompt
from redvillm.runtime.decoder import Decoder
from redvillm.runtime.detokenizer import Detokenizer
from redvillm.runtime.embeddings import EmbeddingTable
from redvillm.runtime.options import GenerationOptions
from redvillm.runtime.sampling import Sampler
from redvillm.runtime.session import CPU_PROVIDER, open_session

FloatArray = npt.NDArray[np.float32]
PREFILL_SLICE_TOKENS = 128
_PROVIDERS = {"cpu": CPU_PROVIDER}  # by target


@dataclass(frozen=True)
class TokenPiece:
    """One token of an answer.

    Attributes:
        text: what the token completes; may be empty (part of a character, or the end token).
        token_id: the token.
        time_s: when it was chosen, on the clock of time.perf_counter.
        finish: on the last piece, `stop` (the end token) or `length` (`max_new_tokens` reached); None before.
    """

    text: str
    token_id: int
    time_s: float
    finish: Literal["stop", "length"] | None


class LanguageModel:
    """Decoder, embeddings, tokenizer and prompt of one bundle."""

    def __init__(self, folder: Path, manifest: Manifest, *, threads: int | None = None, max_context_tokens: int | None = None) -> None:
        """Open the language half of the bundle in `folder`.

        Args:
            folder: the bundle.
            manifest: its manifest.
            threads: threads of the decoder; None uses every core.
            max_context_tokens: prompt and answer together; None takes all that the bundle allows. Memory grows with what is used.

        Raises:
            BackendError: onnxruntime is missing, or the bundle's target cannot run here.
            BundleFileError: a file that cannot be used.
            OptionsError: an argument outside its legal values.
        """
        dimensions = manifest.dimensions
        capacity = dimensions.max_context_tokens if max_context_tokens is None else max_context_tokens
        if type(capacity) is not int or not 1 <= capacity <= dimensions.max_context_tokens:
            raise OptionsError(f"max_context_tokens is {capacity!r:.40}; this bundle allows 1 to {dimensions.max_context_tokens}")
        if manifest.target not in _PROVIDERS:
            raise BackendError(
                f"a decoder exported for target {manifest.target!r} cannot be run by this version; legal targets are {', '.join(_PROVIDERS)}"
            )
        self._session = open_session(folder / Graphs.DECODER, provider=_PROVIDERS[manifest.target], threads=threads, spinning=True)
        self._decoder = Decoder(self._session, dimensions, capacity)
        self._embeddings = EmbeddingTable(folder, dimensions)
        self._prompt = Prompt.from_files(folder / Files.TOKENIZER, folder / Files.CHAT_TEMPLATE, manifest.prompt.system)
        self._stop_ids = list(manifest.prompt.stop_token_ids)
        self._num_visual_tokens: int | None = None
        self._turn = 0

    @property
    def prefix_length_tokens(self) -> int:
        """Length of the visual prefix in the cache, 0 when there is none."""
        return 0 if self._num_visual_tokens is None else len(self._prompt.prefix_ids) + self._num_visual_tokens

    @property
    def provider(self) -> str:
        """What the decoder runs on."""
        return self._session.provider

    @property
    def threads(self) -> int:
        """Threads of the decoder."""
        return self._session.threads

    def check_fits(self, question: str, num_visual_tokens: int, options: GenerationOptions) -> None:
        """Check a question before anything runs.

        Raises:
            QuestionError: empty, too long or not valid text.
            ContextOverflowError: prompt and answer together do not fit.
        """
        self._suffix_ids(question, num_visual_tokens, options)

    def prefill(self, visual_tokens: FloatArray) -> None:
        """Put the visual prefix into the cache, in place of what is there; `visual_tokens` are float32 [K, H].

        Raises:
            ContextOverflowError: they do not fit.
            OptionsError: another shape or type.
        """
        self.try_prefill(visual_tokens, lambda: False)

    def try_prefill(self, visual_tokens: FloatArray, should_cancel: Callable[[], bool]) -> bool:
        """As `prefill`, in slices; `should_cancel` is asked before each one, and once it says yes no visual prefix is left and False is returned."""
        system_length = len(self._prompt.prefix_ids)
        if system_length + len(visual_tokens) > self._decoder.max_context_tokens:
            raise ContextOverflowError(
                f"{system_length} system and {len(visual_tokens)} visual tokens do not fit into a context of "
                f"{self._decoder.max_context_tokens}. Use fewer frames, or open the model with a longer context"
            )
        self._turn += 1
        self._num_visual_tokens = None
        if self._decoder.length < system_length:
            self._decoder.rewind(0)
            self._decoder.forward(self._embeddings.lookup(self._prompt.prefix_ids), [])
        self._decoder.rewind(system_length)
        for start in range(0, len(visual_tokens), PREFILL_SLICE_TOKENS):
            if should_cancel():
                return False
            self._decoder.forward(visual_tokens[start : start + PREFILL_SLICE_TOKENS], [])
        self._num_visual_tokens = len(visual_tokens)
        return True

    def generate(self, question: str, options: GenerationOptions) -> Iterator[TokenPiece]:
        """Answer a question about the visual prefix; the pieces are computed as they are taken.

        Raises:
            QuestionError: empty, too long or not valid text.
            ContextOverflowError: prompt and answer together do not fit.
            OptionsError: there is no visual prefix.
            StreamClosedError: while pieces are taken, when another question or prefix took the decoder in between.
        """
        if self._num_visual_tokens is None:
            raise OptionsError("there is no visual prefix to ask about; call prefill first")
        suffix_ids = self._suffix_ids(question, self._num_visual_tokens, options)
        self._turn += 1
        return self._pieces(suffix_ids, options, self._turn)

    def _pieces(self, suffix_ids: tuple[int, ...], options: GenerationOptions, turn: int) -> Iterator[TokenPiece]:
        sampler, detokenizer = Sampler(options), Detokenizer(self._prompt.tokenizer)
        self._check_turn(turn)
        self._decoder.rewind(self.prefix_length_tokens)
        new_ids = suffix_ids
        for remaining in range(options.max_new_tokens - 1, -1, -1):
            self._check_turn(turn)
            logits = self._decoder.forward(self._embeddings.lookup(new_ids), [len(new_ids) - 1])
            if options.max_new_tokens - remaining <= options.min_new_tokens:
                logits[0, self._stop_ids] = -np.inf
            token_id = sampler.choose(logits[0])
            time_s = time.perf_counter()
            if token_id in self._stop_ids:
                yield TokenPiece(detokenizer.flush(), token_id, time_s, "stop")
                return
            text = detokenizer.push(token_id)
            yield TokenPiece(text, token_id, time_s, None) if remaining else TokenPiece(text + detokenizer.flush(), token_id, time_s, "length")
            new_ids = (token_id,)

    def _check_turn(self, turn: int) -> None:
        if turn != self._turn:
            raise StreamClosedError("another question or visual prefix has taken the decoder; take all pieces of an answer before asking again")

    def _suffix_ids(self, question: str, num_visual_tokens: int, options: GenerationOptions) -> tuple[int, ...]:
        """Tokens from the end of the visual tokens to the beginning of the answer, when all of it fits."""
        suffix_ids = self._prompt.suffix_ids(question)
        num_system = len(self._prompt.prefix_ids)
        total = num_system + num_visual_tokens + len(suffix_ids) + options.max_new_tokens
        if total > self._decoder.max_context_tokens:
            raise ContextOverflowError(
                f"{num_system} system, {num_visual_tokens} visual, {len(suffix_ids)} question and {options.max_new_tokens} answer tokens "
                f"are {total}; the context holds {self._decoder.max_context_tokens}. Shorten the question, or ask for fewer new tokens or frames"
            )
        return suffix_ids
