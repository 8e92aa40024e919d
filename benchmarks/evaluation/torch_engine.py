"""The torch model that a bundle is exported from, asked through the same clips: what the exported bundle is compared with.

Encoder, pooling, alignment and LLM are torch in float32; which frames are taken, and the prompt, are the runtime's. Knows the model's sources; does
not know bundles.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from redvillm import zoo
from redvillm.benchmarks.evaluation.engine import Pixels, clip_frames
from redvillm.export.composition import SYSTEM_PROMPT, VisionSide
from redvillm.export.llama import load_llama
from redvillm.export.nano import MAX_FRAMES, load_vision, locate_sources
from redvillm.export.pooling import pool_streams
from redvillm.export.tokenizer import read_prompt
from redvillm.prompt import Prompt
from redvillm.runtime.evidence import VisualPrefix
from redvillm.runtime.watch import Watcher
from redvillm.runtime.window import Features, PooledStreams


class TorchEngine:
    """A model of the zoo, perhaps with another adapter. One owner thread."""

    def __init__(
        self, model: str, adapter: Path | None, *, threads: int | None = None, num_frames: int | None = None, max_new_tokens: int = 32
    ) -> None:
        """Read the weights.

        Raises:
            OptionsError: not a model of the zoo.
            FetchError, ExportError: weights are missing, or are not what they should be.
        """
        if threads is not None:
            torch.set_num_threads(threads)
        sources = locate_sources(zoo.model_named(model), adapter)
        self._model = model
        vision = load_vision(sources)
        self._llm = load_llama(sources.llm, tuning=vision.tuning)
        tokenizer_json, spec = read_prompt(sources.llm, SYSTEM_PROMPT)
        self._prompt, self._stop_token_ids = Prompt(tokenizer_json, spec), spec.stop_token_ids
        self._fit = vision.fit
        parts = _TorchVision(vision)
        self._watcher = Watcher(parts, parts, parts, vision.fit)
        self._num_frames, self._max_new_tokens = num_frames or MAX_FRAMES, max_new_tokens

    @property
    def about(self) -> dict[str, str]:
        """What is asked, for the report."""
        return {"model": f"{self._model} (torch)", "provider": "torch", "precision": "float32", "torch": torch.__version__}

    def watch(self, clip: Path | Sequence[Pixels]) -> VisualPrefix:
        """Return the visual tokens of a video file, or of frames.

        Raises:
            SourceError: not there, or not a video.
        """
        return self._watcher.watch(clip, self._num_frames).prefix

    def frames(self, path: Path) -> Iterator[Pixels]:
        """Yield the frames of a video file that `watch` would look at, fitted."""
        return clip_frames(path, self._num_frames, self._fit)

    def answer(self, prefix: VisualPrefix, question: str) -> str:
        """Answer greedily."""
        embeddings = self._embeddings(prefix, self._prompt.suffix_ids(question))
        with torch.inference_mode():
            ids = self._llm.generate(
                inputs_embeds=embeddings,
                attention_mask=torch.ones(embeddings.shape[:2], dtype=torch.int64),
                max_new_tokens=self._max_new_tokens,
                do_sample=False,
                eos_token_id=list(self._stop_token_ids),
                pad_token_id=self._stop_token_ids[0],
            )[0].tolist()
        kept = [token for token in ids if token not in self._stop_token_ids]
        return self._prompt.tokenizer.decode(kept, skip_special_tokens=True).strip()

    def likelihood(self, prefix: VisualPrefix, question: str, answer: str) -> float:
        """Mean negative log-likelihood of an answer per token, end included, nat."""
        asked = self._prompt.suffix_ids(question)
        targets = self._prompt.tokenizer.encode(answer, add_special_tokens=False).ids
        embeddings = self._embeddings(prefix, (*asked, *targets))
        with torch.inference_mode():
            shares = self._llm(inputs_embeds=embeddings, logits_to_keep=len(targets) + 1).logits[0].double().log_softmax(-1)
        end = shares[-1, list(self._stop_token_ids)].logsumexp(0)
        return -float(torch.cat((shares[range(len(targets)), targets], end[None])).mean())

    def _embeddings(self, prefix: VisualPrefix, suffix_ids: Sequence[int]) -> torch.Tensor:
        table = self._llm.get_input_embeddings().weight
        visual = [torch.tensor(segment) for segment in prefix.segments]
        return torch.cat((table[list(self._prompt.prefix_ids)], *visual, table[list(suffix_ids)]))[None]


@dataclass(frozen=True)
class _Pooled:
    temporal_pooling: NDArray[np.float32]
    spatial_pooling: NDArray[np.float32]
    motion_energy: NDArray[np.float32]


class _TorchVision:
    """Encoder, pooling and alignment as the runtime's Watcher calls them."""

    def __init__(self, vision: VisionSide) -> None:
        self._vision = vision

    def encode(self, pixels: NDArray[np.uint8]) -> Features:
        with torch.inference_mode():
            return np.asarray(self._vision.encoder(torch.tensor(pixels)).numpy())

    def pool(self, features: Features) -> PooledStreams:
        with torch.inference_mode():
            streams = pool_streams(torch.tensor(features), self._vision.adapter.options.num_motion_tokens)
        return _Pooled(*(stream.numpy() for stream in streams))

    def align(self, pooled: PooledStreams) -> NDArray[np.float32]:
        streams = (pooled.temporal_pooling, pooled.spatial_pooling, pooled.motion_energy)
        with torch.inference_mode():
            tokens = self._vision.adapter(*(torch.tensor(stream) for stream in streams))
        return np.asarray(tokens.numpy())
