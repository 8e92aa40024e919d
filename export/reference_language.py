"""The LLM as transformers computes it, in float32: what an exported decoder is compared with.

The weights of one layer at a time become float32, so that a model that is stored in 16 bits needs no second copy of itself; with a source, the
weights are those that the exported decoder has, so that what is left of a difference is not the quantization's. Knows transformers' text models;
does not know graphs.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from redvillm.export.decoder_source import DecoderSource
from redvillm.export.layer_parts import PARTS
from redvillm.rotary import Positions

FloatArray = NDArray[np.float32]
_HEAD_ROWS = 8192  # of the head, at once


class ReferenceLanguage:
    """A text model and its head; `source`, if given, has the weights instead."""

    def __init__(self, model: nn.Module, head: nn.Linear, source: DecoderSource | None = None) -> None:
        self._model, self._head, self._source = model, head, source

    def embed(self, ids: Sequence[int]) -> FloatArray:
        """Return the embeddings of tokens, float32 [S, H]."""
        if self._source is not None:
            return self._source.embedding().rows(np.asarray(ids, dtype=np.intp)).dequantize()
        table: Any = self._model.get_submodule("embed_tokens")
        values: FloatArray = table.weight[torch.tensor(list(ids), dtype=torch.int64)].detach().float().numpy()
        return values

    def logits(self, embeddings: FloatArray, rows: Sequence[int], positions: Positions | None = None) -> FloatArray:
        """Return the logits of some rows of a sequence, float32 [len(rows), V]; `positions` int64 [S, 3] where they have three parts."""
        hidden = torch.from_numpy(embeddings)[None]
        place_of = {} if positions is None else {"position_ids": torch.from_numpy(positions.T.copy())[:, None]}
        with torch.inference_mode(), self._float32_layers():
            hidden = self._model(inputs_embeds=hidden, use_cache=False, **place_of).last_hidden_state[0, list(rows)]
        return np.concatenate([(hidden @ part.T).numpy() for part in self._head_parts()], axis=1)

    def layer_outputs(self, embeddings: FloatArray, positions: Positions | None = None) -> list[FloatArray]:
        """Return what each layer gives, float32 [S, H]."""
        layers: Any = self._model.get_submodule("layers")
        found: list[FloatArray] = []

        def keep(_module: nn.Module, _inputs: Any, output: Any) -> None:
            found.append((output if isinstance(output, Tensor) else output[0])[0].numpy())

        handles = [layer.register_forward_hook(keep) for layer in layers]
        try:
            self.logits(embeddings, [0], positions)
        finally:
            for handle in handles:
                handle.remove()
        return found

    def _head_parts(self) -> Iterator[Tensor]:
        head = None if self._source is None else self._source.head() or self._source.embedding()
        num_rows = self._head.weight.shape[0] if head is None else head.num_outputs
        for start in range(0, num_rows, _HEAD_ROWS):
            end = min(start + _HEAD_ROWS, num_rows)
            if head is None:
                yield self._head.weight[start:end].detach().float()
            else:
                yield torch.from_numpy(head.rows(np.arange(start, end)).dequantize())

    @contextmanager
    def _float32_layers(self) -> Iterator[None]:
        """While a layer runs, its parameters are float32; before and after, they are what they were."""
        layers: Any = self._model.get_submodule("layers")
        modules = [*enumerate(layers), (-1, self._model.get_submodule("norm"))]
        handles = []
        for number, module in modules:
            stored: dict[str, Tensor] = {}

            def enter(module: nn.Module, *_: Any, number: int = number, stored: dict[str, Tensor] = stored) -> None:
                stored.update({name: parameter.data for name, parameter in module.named_parameters()})
                for name, values in self._float32(module, number).items():
                    module.get_parameter(name).data = values

            def leave(module: nn.Module, *_: Any, stored: dict[str, Tensor] = stored) -> None:
                for name, values in stored.items():
                    module.get_parameter(name).data = values
                stored.clear()

            handles += [module.register_forward_pre_hook(enter), module.register_forward_hook(leave)]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _float32(self, module: nn.Module, number: int) -> dict[str, Tensor]:
        values = {name: parameter.data.float() for name, parameter in module.named_parameters()}
        if self._source is None:
            return values
        if number < 0:
            return {"weight": torch.from_numpy(self._source.final_norm())}
        for part, place in PARTS.items():
            exported = self._source.norm(number, part) if "norm" in part else self._source.matrix(number, part).dequantize()
            values[f"{place}.weight"] = torch.from_numpy(exported)
        return values
