"""The torch reference of the language model: transformers' Llama with the dequantized values of a GGUF file.

Training and parity checks run it. Does not know onnx or any quantized format: it sees float32 values only.
"""

from pathlib import Path

import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

from redvillm.export.decoder_sizes import DecoderSizes
from redvillm.export.gguf import EMBEDDING, FINAL_NORM, HEAD, ROTATED_PARTS, GgufFile, layer_tensor, rotate_half_order
from redvillm.export.layer_parts import PARTS
from redvillm.export.tuning import NO_TUNING, LanguageTuning


def load_llama(path: Path, dtype: torch.dtype = torch.float32, *, tuning: LanguageTuning = NO_TUNING) -> LlamaForCausalLM:
    """Return the dequantized model of a GGUF file with its tuning, in eval mode and without gradients.

    Raises:
        ExportError: the file is not a readable GGUF of the Llama architecture.
    """
    source = GgufFile(path)
    config = _config(source.sizes, tied="output.weight" not in source)
    with torch.device("meta"):
        model = LlamaForCausalLM(config)
    model.load_state_dict(_state(source, dtype, tuning), strict=True, assign=True)
    model.tie_weights()
    model.model.rotary_emb = LlamaRotaryEmbedding(config)  # its buffers are computed, not loaded
    return model.eval().requires_grad_(False)


def _config(sizes: DecoderSizes, *, tied: bool) -> LlamaConfig:
    return LlamaConfig(
        vocab_size=sizes.vocabulary_size,
        hidden_size=sizes.width,
        intermediate_size=sizes.feed_forward_width,
        num_hidden_layers=sizes.num_layers,
        num_attention_heads=sizes.num_heads,
        num_key_value_heads=sizes.num_kv_heads,
        head_dim=sizes.head_width,
        max_position_embeddings=sizes.max_context_tokens,
        rms_norm_eps=sizes.norm_epsilon,
        rope_parameters={"rope_type": "default", "rope_theta": sizes.rope_base},
        tie_word_embeddings=tied,
        bos_token_id=None,
        eos_token_id=None,
        attn_implementation="sdpa",
    )


def _state(source: GgufFile, dtype: torch.dtype, tuning: LanguageTuning) -> dict[str, torch.Tensor]:
    def read(name: str, *, rotated: bool = False) -> torch.Tensor:
        values = source.dequantize(name)
        if rotated:
            values = values[rotate_half_order(len(values), source.sizes.head_width)]
        tuned = tuning.norm if values.ndim == 1 else tuning.values
        return torch.from_numpy(tuned(name, np.array(values))).to(dtype)

    state = {"model.embed_tokens.weight": read(EMBEDDING), "model.norm.weight": read(FINAL_NORM)}
    state["lm_head.weight"] = read(HEAD) if HEAD in source else state["model.embed_tokens.weight"]
    for layer in range(source.sizes.num_layers):
        for part, module in PARTS.items():
            state[f"model.layers.{layer}.{module}.weight"] = read(layer_tensor(layer, part), rotated=part in ROTATED_PARTS)
    return state
