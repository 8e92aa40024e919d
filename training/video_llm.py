"""The Video LLM in torch: trainable adapter, LLM frozen but for the parts that tune it.

Knows how visual tokens enter the LLM; does not know where features or questions come from.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from transformers import LlamaForCausalLM

from redvillm.export.adapter import Adapter
from redvillm.export.pooling import pool_streams
from redvillm.training.language_tuning import TrainedLanguage
from redvillm.training.packing import PackedBatch


class VideoLLM(nn.Module):
    """Adapter (float32, trained) in front of an LLM (any dtype), of which only `language` is trained."""

    def __init__(self, adapter: Adapter, llm: LlamaForCausalLM, language: TrainedLanguage | None = None) -> None:
        super().__init__()
        self.adapter = adapter
        self.llm = llm if language is not None else llm.requires_grad_(False)
        self.language = language

    def train_language(self, on: bool) -> None:
        """Train the LLM's parts as well, or the adapter alone."""
        if self.language is not None:
            self.language.switch(on=on)

    def visual_tokens(self, features: NDArray[np.float32]) -> Tensor:
        """X [T, N, D] -> visual tokens float32 [N + T + M, H]."""
        tokens: Tensor = self.adapter(*pool_streams(torch.from_numpy(features), self.adapter.options.num_motion_tokens))
        return tokens

    def forward(self, visual_tokens: Sequence[Tensor], batch: PackedBatch) -> Tensor:
        """Return the logits of the wanted rows, [R, V], in the LLM's dtype."""
        embeddings = self.llm.model.embed_tokens(batch.token_ids)
        rows = []
        for embedding, tokens, place in zip(embeddings, visual_tokens, batch.visual, strict=True):
            rows.append(torch.cat((embedding[: place.start], tokens.to(embedding.dtype), embedding[place.stop :])))
        output = self.llm.model(inputs_embeds=torch.stack(rows), attention_mask=batch.mask, position_ids=batch.positions, use_cache=False)
        wanted = output.last_hidden_state[batch.rows[:, 0], batch.rows[:, 1]]
        logits: Tensor = self.llm.lm_head(wanted)
        return logits


def row_losses(logits: Tensor, batch: PackedBatch) -> Tensor:
    """Negative log-likelihood of each target token, float32 [R]."""
    return functional.cross_entropy(logits.float(), batch.targets, reduction="none")


def num_visual_tokens(features: NDArray[np.float32], num_motion_tokens: int) -> int:
    """N + T + M of a window."""
    return int(features.shape[0] + features.shape[1] + num_motion_tokens)
