"""The decoder against its reference: the exported decoder answers greedily, and the reference reads prompt and answer in one pass.

Knows decoders and prompts; does not know limits.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from redvillm.export.graph_run import FloatArray, GraphDecoder
from redvillm.export.parity_measures import TIE_NAT, divergence, greedy_agreement, mean_cosine, negative_log_likelihood
from redvillm.export.parity_vision import CUSTOM_KERNEL, FUNCTION_BODY, Values
from redvillm.export.reference_language import ReferenceLanguage
from redvillm.kernels.ort_library import ort_library_path
from redvillm.manifest import Dimensions, Graphs, RotarySpec
from redvillm.prompt import Prompt
from redvillm.rotary import Positions, position_after, text_positions, visual_positions

QUESTION = "What is happening?"
NUM_GREEDY_TOKENS = 32
GREEDY_METRIC = f"share of {NUM_GREEDY_TOKENS} tokens that agree, ties within {TIE_NAT} nat aside"
DIVERGENCE = "Kullback-Leibler divergence, nat"
COSINE_METRIC = f"mean cosine over {NUM_GREEDY_TOKENS} tokens"
TEXT_METRIC = "relative change of the negative log-likelihood"
TEXT_SAMPLE = (
    "The harbour wakes before the town does. Two boats come in with the tide, low in the water, and a man in yellow boots throws a rope to a boy "
    "who has been waiting on the pier since dawn. Crates of fish are lifted onto the stones, gulls circle, and somebody opens the shutters of the "
    "bakery. By eight the market is full. People argue about the price of mackerel, children run between the stalls with warm bread in their hands, "
    "and the old dog of the harbour master sleeps through all of it, as he has done every morning for eleven years."
)


@dataclass(frozen=True)
class PromptSequence:
    """Embeddings of a prompt with some visual tokens, float32 [S, H], and the positions of all that is read, where they have three parts."""

    embeddings: FloatArray
    positions: Positions | None

    @property
    def length(self) -> int:
        """S."""
        return len(self.embeddings)

    def and_then(self, embeddings: FloatArray) -> "PromptSequence":
        """Return the sequence with text after it."""
        positions = self.positions
        if positions is not None:
            positions = np.concatenate([positions, text_positions(position_after(positions), len(embeddings))])
        return PromptSequence(np.concatenate([self.embeddings, embeddings]), positions)


def prompt_sequence(language: ReferenceLanguage, prompt: Prompt, visual_tokens: FloatArray, rotary: RotarySpec) -> PromptSequence:
    """Return prompt, visual tokens and a question."""
    before, after = language.embed(prompt.prefix_ids), language.embed(prompt.suffix_ids(QUESTION))
    positions = None
    if rotary.sections:
        seen = np.concatenate([text_positions(0, len(before)), visual_positions(rotary, len(before), len(visual_tokens))])
        positions = np.concatenate([seen, text_positions(position_after(seen), len(after))])
    return PromptSequence(np.concatenate([before, visual_tokens, after]), positions)


class DecoderCheck:
    """The exported decoder of a bundle, and what it answers."""

    def __init__(self, folder: Path, dimensions: Dimensions, rotary: RotarySpec, language: ReferenceLanguage, asked: PromptSequence) -> None:
        """`asked` is what both read; `language` has the exported weights."""
        self._folder, self._sizes, self._rotary, self._language, self._asked = folder, dimensions, rotary, language, asked
        library = ort_library_path()
        self._kernels = {FUNCTION_BODY: None} if library is None else {FUNCTION_BODY: None, CUSTOM_KERNEL: library}
        self.answer_ids = self._answer()

    def values(self, prompt: Prompt) -> Values:
        """Compare logits of the answer, and the likelihood of a text."""
        read, rows = self._read(self._asked)
        expected = self._language.logits(read.embeddings, rows, read.positions)
        text_ids = prompt.tokenizer.encode(TEXT_SAMPLE, add_special_tokens=False).ids[: self._sizes.max_context_tokens]
        sample = PromptSequence(self._language.embed(text_ids), text_positions(0, len(text_ids)) if self._rotary.sections else None)
        all_rows = range(len(text_ids))
        expected_nll = negative_log_likelihood(self._language.logits(sample.embeddings, all_rows, sample.positions), text_ids)
        values: Values = {}
        for kernel in self._kernels:
            logits = self._open(kernel).run(read.embeddings, rows, read.positions)
            nll = negative_log_likelihood(self._open(kernel).run(sample.embeddings, all_rows, sample.positions), text_ids)
            values |= {
                (f"first-token logits, {kernel}", DIVERGENCE): divergence(expected[0], logits[0]),
                (f"answer logits, {kernel}", COSINE_METRIC): mean_cosine(logits, expected),
                (f"greedy text, {kernel}", GREEDY_METRIC): greedy_agreement(expected, logits),
                (f"text sample, {kernel}", TEXT_METRIC): abs(nll / expected_nll - 1),
            }
        return values

    def compared(self, stage: str, language: ReferenceLanguage, expected: PromptSequence, found: PromptSequence) -> Values:
        """What two ways of making a prompt do to the prediction of the answer: `language` reads `expected`, this check's reference reads `found`."""
        sequences = [self._read(asked) for asked in (expected, found)]
        wanted, got = (
            reader.logits(read.embeddings, rows, read.positions) for reader, (read, rows) in zip((language, self._language), sequences, strict=True)
        )
        return {
            (stage, DIVERGENCE): divergence(wanted[0], got[0]),
            (stage, COSINE_METRIC): mean_cosine(got, wanted),
            (stage, GREEDY_METRIC): greedy_agreement(wanted, got),
        }

    def _read(self, asked: PromptSequence) -> tuple[PromptSequence, list[int]]:
        """The prompt and the answer without its last word, and the rows that predict the answer."""
        read = asked.and_then(self._language.embed(self.answer_ids[:-1]))
        return read, list(range(asked.length - 1, read.length))

    def _answer(self) -> list[int]:
        decoder, sequence = self._open(FUNCTION_BODY), self._asked
        ids = [int(decoder.run(sequence.embeddings, [sequence.length - 1], sequence.positions)[0].argmax())]
        while len(ids) < NUM_GREEDY_TOKENS:
            sequence = sequence.and_then(self._language.embed(ids[-1:]))
            positions = None if sequence.positions is None else sequence.positions[-1:]
            ids.append(int(decoder.run(sequence.embeddings[-1:], [0], positions)[0].argmax()))
        return ids

    def library_of(self, kernel: str) -> Path | None:
        """The library that computes the decoder's operators for a kernel of the measures' names."""
        return self._kernels[kernel]

    def _open(self, kernel: str) -> GraphDecoder:
        return GraphDecoder(self._folder / Graphs.DECODER, self._sizes, self._rotary, library=self._kernels[kernel])
