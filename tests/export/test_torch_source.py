"""Decoders exported from models of transformers, against these models with the same quantized weights."""

import numpy as np
import onnx
import pytest
import torch
from cached_decoder import CachedDecoder, use_exact_activations
from transformers import AutoModelForCausalLM, LlamaConfig, MistralConfig, Qwen2Config

from redvillm.errors import ExportError
from redvillm.export.decoder import export_decoder
from redvillm.export.float_quantization import BlockFormat, HalfFormat
from redvillm.export.torch_source import TorchSource

SIZES = {
    "vocab_size": 70,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "initializer_range": 0.15,
}
CONFIGS = {
    "llama": LlamaConfig(**SIZES),
    "llama, tied, heads of their own width": LlamaConfig(**SIZES, head_dim=32, tie_word_embeddings=True),
    "llama 3 frequencies": LlamaConfig(
        **SIZES,
        rope_parameters={
            "rope_type": "llama3",
            "rope_theta": 10000.0,
            "factor": 4.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 2.0,
            "original_max_position_embeddings": 32,
        },
    ),
    "mistral": MistralConfig(**SIZES, sliding_window=None),
    "qwen2": Qwen2Config(**SIZES),
}
FORMATS = {
    "int4": BlockFormat(bits=4, symmetric=False),
    "int4 symmetric": BlockFormat(bits=4, symmetric=True),
    "int8": BlockFormat(bits=8, symmetric=True),
    "fp16": HalfFormat(),
}


def make(name):
    torch.manual_seed(3)
    model = AutoModelForCausalLM.from_config(CONFIGS[name]).eval().requires_grad_(False)
    for parameter_name, parameter in model.named_parameters():
        if parameter_name.endswith("bias"):
            parameter.normal_(0, 0.3)
    return model


def source_of(model, form):
    return TorchSource(model.model, model.lm_head, form, origin="tiny")


def with_quantized_weights(model, source):
    """Give the model the values that the exported decoder has."""
    from redvillm.export.layer_parts import PARTS

    for layer, module in enumerate(model.model.layers):
        for part, place in PARTS.items():
            if "norm" not in part:
                module.get_submodule(place).weight.data = torch.from_numpy(source.matrix(layer, part).dequantize())
    head, table = source.head(), torch.from_numpy(source.embedding().dequantize())
    model.model.embed_tokens.weight.data = table
    model.lm_head.weight.data = table if head is None else torch.from_numpy(head.dequantize())
    return model


@pytest.mark.parametrize(("form", "in_half"), [*((form, False) for form in FORMATS), ("fp16", True)])
@pytest.mark.parametrize("name", CONFIGS)
def test_logits_are_those_of_the_model(tmp_path, name, form, in_half):
    model = make(name)
    source = source_of(model, FORMATS[form])
    report = export_decoder(source, tmp_path, max_context_tokens=64, tokenizer_json="{}", in_half=in_half)
    use_exact_activations(tmp_path)
    ids = np.random.default_rng(0).integers(0, 70, 41).tolist()
    with_quantized_weights(model, source)
    with torch.inference_mode():
        expected = model(torch.tensor([ids])).logits[0].numpy()
    decoder = CachedDecoder(tmp_path, report)
    table = source.embedding().dequantize()
    value = np.concatenate([decoder.run(table[ids[:29]], range(29)), decoder.run(table[ids[29:]], range(12))])
    # the cache, queries, keys and values are float16: 2^-11 each, over two layers of random weights
    np.testing.assert_allclose(value, expected, rtol=0, atol=6e-3 * np.abs(expected).max())


def test_matrices_in_float16_are_the_models_own():
    model = make("llama").half().float()  # as a checkpoint in float16 has them
    source = source_of(model, HalfFormat())
    np.testing.assert_array_equal(source.matrix(1, "ffn_up").dequantize(), model.model.layers[1].mlp.up_proj.weight.numpy())
    model.model.layers[1].mlp.up_proj.weight[3, 5] = 7e4
    with pytest.raises(ExportError, match="65504"):
        source.matrix(1, "ffn_up")


def test_products_of_a_gpu_are_in_float16(tmp_path):
    """The graph says so: where it does, inputs are rounded to float16 before they are multiplied."""
    source = source_of(make("llama"), HalfFormat())
    for in_half in (False, True):
        export_decoder(source, tmp_path, max_context_tokens=64, tokenizer_json="{}", in_half=in_half)
        functions = onnx.load(tmp_path / "decoder.onnx", load_external_data=False).functions
        casts = {
            attribute.i
            for function in functions
            if "HalfLinear" in function.name
            for node in function.node
            for attribute in node.attribute
            if node.op_type == "Cast" and attribute.name == "to"
        }
        assert casts == ({onnx.TensorProto.FLOAT16, onnx.TensorProto.FLOAT} if in_half else {onnx.TensorProto.FLOAT})


def test_other_architectures_are_refused():
    model = make("llama")
    model.config.model_type = "gemma"
    with pytest.raises(ExportError, match="llama, mistral, qwen2"):
        source_of(model, FORMATS["int4"])
    model.config.model_type, model.config.hidden_act = "llama", "gelu"
    with pytest.raises(ExportError, match="'silu' is wanted"):
        source_of(model, FORMATS["int4"])


def test_a_sliding_window_bounds_the_context():
    config = MistralConfig(**SIZES, sliding_window=40)
    model = AutoModelForCausalLM.from_config(config)
    assert source_of(model, FORMATS["int4"]).sizes.max_context_tokens == 40
