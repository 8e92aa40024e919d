import gguf
import numpy as np
import pytest
import tiny_llama
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from redvillm.export.llama import load_llama

IDS = torch.tensor([[1, 70, 71, 2, 99, 258, 0, 13, 200]])
HUGGING_FACE_NAMES = {
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def reference(*, tied: bool) -> LlamaForCausalLM:
    """Built from the weights before they were written, rounded by gguf; never sees the stored order of the rows."""
    config = LlamaConfig(
        vocab_size=len(tiny_llama.VOCABULARY),
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        rms_norm_eps=1e-5,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
        tie_word_embeddings=tied,
    )
    model = LlamaForCausalLM(config).eval()
    state = {}
    for name, values in tiny_llama.random_weights(0, tied=tied).items():
        kind = tiny_llama.stored_type(name, "Q4_1")
        rounded = torch.from_numpy(gguf.dequantize(gguf.quants.quantize(values, kind), kind))
        if name.startswith("blk."):
            _, layer, part, _ = name.split(".")
            state[f"model.layers.{layer}.{HUGGING_FACE_NAMES[part]}.weight"] = rounded
        else:
            renamed = {"token_embd.weight": "model.embed_tokens", "output_norm.weight": "model.norm", "output.weight": "lm_head"}
            state[f"{renamed[name]}.weight"] = rounded
    state.setdefault("lm_head.weight", state["model.embed_tokens.weight"])
    model.load_state_dict(state)
    return model


@pytest.mark.parametrize("tied", [True, False])
def test_logits_are_those_of_the_weights_that_were_written(tmp_path, tied):
    model = load_llama(tiny_llama.write_gguf(tmp_path / "m.gguf", tied=tied))
    with torch.inference_mode():
        # the same values in the same order of sums: only the rotary table may differ by a rounding
        torch.testing.assert_close(model(IDS).logits, reference(tied=tied)(IDS).logits, rtol=1e-5, atol=1e-5)
    assert (model.lm_head.weight is model.model.embed_tokens.weight) == tied


def test_it_is_frozen_and_of_the_asked_type(tmp_path):
    path = tiny_llama.write_gguf(tmp_path / "m.gguf")
    model = load_llama(path, torch.bfloat16)
    assert not model.training
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}
    assert not any(parameter.requires_grad for parameter in model.parameters())
    assert not any(tensor.is_meta for tensor in [*model.parameters(), *model.buffers()])


def test_loading_leaves_the_random_state_alone(tmp_path):
    path = tiny_llama.write_gguf(tmp_path / "m.gguf")
    state = torch.random.get_rng_state()
    load_llama(path)
    np.testing.assert_array_equal(torch.random.get_rng_state(), state)
