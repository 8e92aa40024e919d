"""What precisions cost, on a tiny LLM: the rotation changes nothing, more bits cost less, and the program prints its figures."""

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from redvillm.benchmarks.precision_cost import main, measure  # noqa: E402
from redvillm.benchmarks.rotated import rotated  # noqa: E402
from redvillm.export.checkpoint_plan import DECODER_PRECISIONS  # noqa: E402


@pytest.fixture(scope="module")
def llm():
    torch.manual_seed(1)
    config = transformers.LlamaConfig(
        vocab_size=90, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        max_position_embeddings=256, initializer_range=0.2, tie_word_embeddings=True,
    )  # fmt: skip
    model = transformers.AutoModelForCausalLM.from_config(config).eval().requires_grad_(False)
    for name, parameter in model.named_parameters():
        if "norm" in name:
            parameter.uniform_(0.5, 2)
    return model


def test_another_basis_is_the_same_function(llm):
    ids = torch.tensor([[3, 1, 4, 1, 5, 9, 2, 6]])
    turned = rotated(llm)
    with torch.inference_mode():
        # float32 sums in another order, over two layers
        torch.testing.assert_close(turned(ids).logits, llm(ids).logits, rtol=1e-4, atol=1e-4)
    before, after = (model.model.layers[0].mlp.up_proj.weight for model in (llm, turned))
    assert (before - after).abs().max() > 0.1


def test_more_bits_cost_less(llm):
    passages = np.random.default_rng(0).integers(0, 90, (2, 41)).tolist()
    perplexity, costs = measure(llm, passages, tuple(DECODER_PRECISIONS))
    with torch.inference_mode():
        losses = [llm(torch.tensor([ids]), labels=torch.tensor([ids])).loss.item() for ids in passages]
    assert perplexity == pytest.approx(np.exp(np.mean(losses)), rel=1e-4)
    found = {cost.precision: cost for cost in costs}
    assert found["int4-symmetric"].divergence_nat > found["int4"].divergence_nat > found["int8"].divergence_nat > found["fp16"].divergence_nat > 0
    assert found["fp16"].same_best_share > 0.95
    assert abs(found["fp16"].perplexity_ratio - 1) < 0.02
    assert found["fp16"].size_mb > found["int8"].size_mb > found["int4"].size_mb > found["int4-symmetric"].size_mb


def test_the_program_prints_a_table_and_json(tmp_path, capsys):
    import composed_models

    composed_models.write_language(tmp_path / "llm")
    (tmp_path / "text.txt").write_text("a cat sits on a mat " * 5, encoding="utf-8")
    assert main([str(tmp_path / "text.txt"), "--llm", str(tmp_path / "llm")]) == 0
    *lines, last = capsys.readouterr().out.splitlines()
    assert {"int4-symmetric", "fp16"} <= {line.split()[0] for line in lines if line.split()}
    assert [row["precision"] for row in json.loads(last)["precisions"]] == list(DECODER_PRECISIONS)
