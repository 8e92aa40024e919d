"""A decoder in a model of transformers: Llama, Mistral or Qwen2, quantized matrix by matrix as it is read.

Knows transformers' modules and their configuration; does not know files or graphs.
"""

from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from redvillm.errors import ExportError
from redvillm.export.decoder_sizes import DecoderSizes
from redvillm.export.decoder_source import FloatArray
from redvillm.export.float_quantization import BlockFormat, HalfFormat, WeightFormat, quantize
from redvillm.export.gguf import FINAL_NORM, layer_tensor
from redvillm.export.half_weights import HalfWeights
from redvillm.export.layer_parts import PARTS
from redvillm.export.quantization import BlockWeights
from redvillm.export.tuning import NO_TUNING, LanguageTuning

ARCHITECTURES = ("llama", "mistral", "qwen2", "qwen2_vl_text", "qwen2_5_vl_text")
_TABLE_FORMAT = BlockFormat(bits=8, symmetric=True)


class TorchSource:
    """A redvillm.export.decoder_source.DecoderSource.

    Raises:
        ExportError: another architecture, or a form of it that the decoder's graph does not have.
    """

    def __init__(self, model: nn.Module, head: nn.Linear, form: WeightFormat, *, origin: str, tuning: LanguageTuning = NO_TUNING) -> None:
        """`model` is a transformers text model without a head; `form` is that of all matrices but the table of embeddings."""
        self.origin, self._model, self._head, self._form, self._tuning = origin, model, head, form, tuning
        self._config: Any = model.config
        _check(self._config, origin)
        self._rotary = _rotary_module(model)
        self.sizes = self._read_sizes()

    def matrix(self, layer: int, part: str) -> BlockWeights | HalfWeights:
        """A matrix: quantized, then tuned; or tuned, then rounded to float16."""
        name, values = layer_tensor(layer, part), _values(self._linear(layer, part).weight)
        if isinstance(self._form, HalfFormat):
            return HalfWeights.of(self._tuning.values(name, values))
        return self._tuning.weights(name, quantize(values, self._form))

    def bias(self, layer: int, part: str) -> FloatArray | None:
        """A bias, where the architecture has one."""
        bias = self._linear(layer, part).bias
        return None if bias is None else _values(bias)

    def norm(self, layer: int, part: str) -> FloatArray:
        """A norm, tuned."""
        return self._tuning.norm(layer_tensor(layer, part), _values(self._layer(layer).get_parameter(f"{PARTS[part]}.weight")))

    def final_norm(self) -> FloatArray:
        """The last norm, tuned."""
        return self._tuning.norm(FINAL_NORM, _values(self._model.get_parameter("norm.weight")))

    def embedding(self) -> BlockWeights:
        """The table, in 8 bits."""
        return self._quantized_table

    def head(self) -> BlockWeights | None:
        """The head in 8 bits, if it is not tied to the table: its errors go straight into the logits."""
        if self._head.weight.data_ptr() == self._table.weight.data_ptr():
            return None
        return self._quantized_head

    @cached_property
    def _quantized_table(self) -> BlockWeights:
        return quantize(_values(self._table.weight), _TABLE_FORMAT)

    @cached_property
    def _quantized_head(self) -> BlockWeights:
        return quantize(_values(self._head.weight), _TABLE_FORMAT)

    def rotary_tables(self, num_positions: int) -> tuple[FloatArray, FloatArray]:
        """Tables of the model's own rotary embeddings, scaled or not, in float64 until the end."""
        frequencies = self._rotary.inv_freq.double().numpy()
        angles = np.outer(np.arange(num_positions), frequencies)
        factor = float(getattr(self._rotary, "attention_scaling", 1.0))
        return (np.cos(angles) * factor).astype(np.float32), (np.sin(angles) * factor).astype(np.float32)

    @property
    def _table(self) -> nn.Embedding:
        table = self._model.get_submodule("embed_tokens")
        assert isinstance(table, nn.Embedding)
        return table

    def _layer(self, layer: int) -> nn.Module:
        return self._model.get_submodule(f"layers.{layer}")

    def _linear(self, layer: int, part: str) -> nn.Linear:
        linear = self._layer(layer).get_submodule(PARTS[part])
        assert isinstance(linear, nn.Linear)
        return linear

    def _read_sizes(self) -> DecoderSizes:
        config = self._config
        num_heads = int(config.num_attention_heads)
        rope = config.rope_parameters
        return DecoderSizes(
            num_layers=int(config.num_hidden_layers),
            width=int(config.hidden_size),
            feed_forward_width=int(config.intermediate_size),
            num_heads=num_heads,
            num_kv_heads=int(config.num_key_value_heads),
            head_width=int(getattr(config, "head_dim", None) or config.hidden_size // num_heads),
            vocabulary_size=int(self._table.weight.shape[0]),
            max_context_tokens=int(config.max_position_embeddings),
            rope_base=float(rope["rope_theta"]),
            norm_epsilon=float(config.rms_norm_eps),
            rotary_sections=tuple(rope.get("mrope_section") or ()),
        )


def _check(config: Any, origin: str) -> None:
    if config.model_type not in ARCHITECTURES:
        raise ExportError(f"{origin} has an LLM of the architecture {config.model_type!r:.60}; known are {', '.join(ARCHITECTURES)}")
    if config.hidden_act != "silu":
        raise ExportError(f"{origin} has feed-forward layers with {config.hidden_act!r:.40}, 'silu' is wanted; choose another model")
    window = getattr(config, "sliding_window", None) if getattr(config, "use_sliding_window", True) else None
    if window is not None and window < config.max_position_embeddings:
        config.max_position_embeddings = window  # within the window, sliding attention is plain attention


def _rotary_module(model: nn.Module) -> Any:
    rotary: Any = model.get_submodule("rotary_emb")
    if getattr(rotary, "rope_type", "default") in ("dynamic", "longrope"):
        raise ExportError(f"rotary embeddings of the type {rotary.rope_type!r} change with the length of the text; choose another model")
    return rotary


def _values(tensor: Tensor) -> FloatArray:
    return tensor.detach().to(torch.float32).numpy()
