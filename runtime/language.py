"""The language model of a bundle: visual tokens and a question in, an answer piece by piece.

The cache holds system prompt | visual tokens (the visual prefix) | question | answer. A question rewinds to the end of the visual prefix, so that
what stays is never computed again; the next visual prefix is made in a cache of its own, so that the last one answers until it is complete. Greedy
answers may be drafted: question and draft take one pass, and what the model would not have said itself is dropped. Knows prompt and decoder; does not
know videos or threads. One owner thread.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from redvillm.errors import ContextOverflowError, OptionsError, QuestionError, StreamClosedError
from redvillm.manifest import Files, Graphs, Manifest
from redvillm.prompt import Prompt
from redvillm.runtime.decoder import Decoder
from redvillm.runtime.detokenizer import Detokenizer
from redvillm.runtime.embeddings import EmbeddingTable
from redvillm.runtime.options import GenerationOptions
from redvillm.runtime.prefix_cache import PrefixCache
from redvillm.runtime.sampling import Sampler
from redvillm.runtime.target_sessions import open_decoder

FloatArray = npt.NDArray[np.float32]
_ANSWERS = {"yes": ("Yes", "yes", " Yes", " yes"), "no": ("No", "no", " No", " no")}


@dataclass(frozen=True)
class TokenPiece:
    """One token of an answer.

    Attributes:
        text: what the token completes; may be empty (part of a character, or the end token).
        token_id: the token.
        time_s: when it was chosen, on the clock of time.perf_counter.
        finish: on the last piece, `stop` (the end token) or `length` (`max_new_tokens` reached); None before.
        drafted: whether it was taken from the draft.
    """

    text: str
    token_id: int
    time_s: float
    finish: Literal["stop", "length"] | None
    drafted: bool = False


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
            BackendError: onnxruntime is missing, or the bundle's target cannot run here, or its KV cache does not fit the GPU.
            BundleFileError: a file that cannot be used.
            OptionsError: an argument outside its legal values.
        """
        dimensions = manifest.dimensions
        capacity = dimensions.max_context_tokens if max_context_tokens is None else max_context_tokens
        if type(capacity) is not int or not 1 <= capacity <= dimensions.max_context_tokens:
            raise OptionsError(f"max_context_tokens is {capacity!r:.40}; this bundle allows 1 to {dimensions.max_context_tokens}")
        self._session = open_decoder(folder / Graphs.DECODER, manifest, threads=threads)
        decoders = (Decoder(self._session, dimensions, capacity, manifest.rotary) for _ in range(2))
        self._prefixes = PrefixCache(*decoders)
        self._max_context_tokens = capacity
        self._embeddings = EmbeddingTable(folder, dimensions)
        self._prompt = Prompt.from_file(folder / Files.TOKENIZER, manifest.prompt)
        self._stop_ids = list(manifest.prompt.stop_token_ids)
        self._system = self._embeddings.lookup(self._prompt.prefix_ids)
        self._num_visual_tokens: int | None = None
        self._turn = 0

    @property
    def prefix_length_tokens(self) -> int:
        """Length of the visual prefix in the cache, 0 when there is none."""
        return self._prefixes.length

    @property
    def provider(self) -> str:
        """What the decoder runs on."""
        return self._session.provider

    @property
    def threads(self) -> int:
        """Threads of the decoder."""
        return self._session.threads

    @property
    def decoder_kernel(self) -> str | None:
        """What computes the decoder's own operators, in words."""
        return self._session.decoder_kernel

    def check_fits(self, question: str, num_visual_tokens: int, options: GenerationOptions) -> None:
        """Check a question before anything runs.

        Raises:
            QuestionError: empty, too long or not valid text.
            ContextOverflowError: prompt and answer together do not fit.
        """
        self._suffix_ids(question, num_visual_tokens, options)

    def prefill(self, *segments: FloatArray) -> None:
        """Make `segments` the visual prefix, in place of what there is; each is float32 [K, H] and must not change afterwards.

        Raises:
            ContextOverflowError: they do not fit.
            OptionsError: another shape or type.
        """
        self.try_prefill(segments, lambda: False)

    def try_prefill(self, segments: Sequence[FloatArray], should_cancel: Callable[[], bool]) -> bool:
        """As `prefill`, in slices; `should_cancel` is asked before each one, and once it says yes the visual prefix stays what it was: False."""
        num_visual_tokens = sum(len(segment) for segment in segments)
        if len(self._system) + num_visual_tokens > self._max_context_tokens:
            raise ContextOverflowError(
                f"{len(self._system)} system and {num_visual_tokens} visual tokens do not fit into a context of "
                f"{self._max_context_tokens}. Use fewer frames, or open the model with a longer context"
            )
        self._turn += 1
        try:
            if not self._prefixes.build((self._system, *segments), should_cancel):
                return False
        except BaseException:
            self._num_visual_tokens = None
            self._prefixes.clear()
            raise
        self._num_visual_tokens = num_visual_tokens
        return True

    def generate(self, question: str, options: GenerationOptions, draft: Sequence[int] = ()) -> Iterator[TokenPiece]:
        """Answer a question about the visual prefix; the pieces are computed as they are taken.

        `draft` is a guess at the tokens of the answer, the end token included. Greedy decoding checks it in the pass that reads the question and
        takes the tokens that it would have chosen itself; other decoding does not look at it.

        Raises:
            QuestionError: empty, too long or not valid text.
            ContextOverflowError: prompt and answer together do not fit.
            OptionsError: there is no visual prefix.
            StreamClosedError: while pieces are taken, when another question or prefix took the decoder in between.
        """
        suffix_ids = self._suffix_of(question, options)
        self._turn += 1
        return self._pieces(suffix_ids, options, tuple(draft[: options.max_new_tokens]) if options.temperature == 0 else (), self._turn)

    def judge(self, question: str) -> tuple[TokenPiece, float]:
        """Answer a question by yes or no in one pass: the word, and the probability of yes beside no.

        Raises:
            As `generate`.
        """
        suffix_ids = self._suffix_of(question, GenerationOptions(max_new_tokens=1))
        self._turn += 1
        self._prefixes.decoder.rewind(self._prefixes.length)
        logits = self._prefixes.decoder.forward(self._embeddings.lookup(suffix_ids), [len(suffix_ids) - 1])[0].astype(np.float64)
        yes, no = (np.logaddexp.reduce(logits[list(self._ids_of(words))]) for words in _ANSWERS.values())
        probability = float(1 / (1 + np.exp(np.clip(no - yes, -700, 700))))
        word = "Yes" if probability >= 0.5 else "No"
        return TokenPiece(word, self._prompt.tokenizer.encode(word, add_special_tokens=False).ids[0], time.perf_counter(), "stop"), probability

    def likelihood(self, question: str, answer: str) -> float:
        """Return the mean negative log-likelihood of `answer` per token, its end included, nat: how far it is from what the model would say.

        Raises:
            As `generate`; also QuestionError for an answer without a token.
        """
        answer_ids = self._prompt.tokenizer.encode(answer, add_special_tokens=False).ids
        if not answer_ids:
            raise QuestionError("the answer is empty; its likelihood is that of no word")
        suffix_ids = self._suffix_of(question, GenerationOptions(max_new_tokens=len(answer_ids) + 1))
        self._turn += 1
        self._prefixes.decoder.rewind(self._prefixes.length)
        first = len(suffix_ids) - 1
        rows = list(range(first, first + len(answer_ids) + 1))
        logits = self._prefixes.decoder.forward(self._embeddings.lookup(suffix_ids + tuple(answer_ids)), rows).astype(np.float64)
        log_shares = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
        tokens = list(log_shares[np.arange(len(answer_ids)), answer_ids])
        if self._stop_ids:
            tokens.append(np.logaddexp.reduce(log_shares[-1, self._stop_ids]))
        return float(-np.mean(tokens))

    def _pieces(self, suffix_ids: tuple[int, ...], options: GenerationOptions, draft: tuple[int, ...], turn: int) -> Iterator[TokenPiece]:
        sampler, detokenizer = Sampler(options), Detokenizer(self._prompt.tokenizer)
        self._check_turn(turn)
        decoder = self._prefixes.decoder
        decoder.rewind(self._prefixes.length)
        first = len(suffix_ids) - 1
        logits = decoder.forward(self._embeddings.lookup(suffix_ids + draft), list(range(first, first + len(draft) + 1)))
        row = 0  # of `logits`, which belongs to the next token
        for number in range(1, options.max_new_tokens + 1):
            if number <= options.min_new_tokens:
                logits[row, self._stop_ids] = -np.inf
            token_id = sampler.choose(logits[row])
            drafted = number <= len(draft) and row == number - 1 and draft[row] == token_id
            time_s = time.perf_counter()
            if token_id in self._stop_ids:
                yield TokenPiece(detokenizer.flush(), token_id, time_s, "stop", drafted)
                return
            text = detokenizer.push(token_id)
            if number == options.max_new_tokens:
                yield TokenPiece(text + detokenizer.flush(), token_id, time_s, "length", drafted)
                return
            yield TokenPiece(text, token_id, time_s, None, drafted)
            self._check_turn(turn)
            if drafted:
                row += 1
                continue
            # what follows in the cache was computed for another token
            decoder.rewind(self._prefixes.length + len(suffix_ids) + number - 1)
            logits, row = decoder.forward(self._embeddings.lookup((token_id,)), [0]), 0

    def _ids_of(self, words: Sequence[str]) -> set[int]:
        """Return the first tokens of `words`."""
        return {self._prompt.tokenizer.encode(word, add_special_tokens=False).ids[0] for word in words}

    def _suffix_of(self, question: str, options: GenerationOptions) -> tuple[int, ...]:
        if self._num_visual_tokens is None:
            raise OptionsError("there is no visual prefix to ask about; call prefill first")
        return self._suffix_ids(question, self._num_visual_tokens, options)

    def _check_turn(self, turn: int) -> None:
        if turn != self._turn:
            raise StreamClosedError("another question or visual prefix has taken the decoder; take all pieces of an answer before asking again")

    def _suffix_ids(self, question: str, num_visual_tokens: int, options: GenerationOptions) -> tuple[int, ...]:
        """Tokens from the end of the visual tokens to the beginning of the answer, when all of it fits."""
        suffix_ids = self._prompt.suffix_ids(question)
        num_system = len(self._prompt.prefix_ids)
        total = num_system + num_visual_tokens + len(suffix_ids) + options.max_new_tokens
        if total > self._max_context_tokens:
            raise ContextOverflowError(
                f"{num_system} system, {num_visual_tokens} visual, {len(suffix_ids)} question and {options.max_new_tokens} answer tokens "
                f"are {total}; the context holds {self._max_context_tokens}. Shorten the question, or ask for fewer new tokens or frames"
            )
        return suffix_ids
