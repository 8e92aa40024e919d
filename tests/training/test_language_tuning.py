"""What is trained inside the LLM: nothing at first, the formula of its docstring after, and attention in float32 is attention."""

import copy

import numpy as np
import torch

from redvillm.training.attention import use_float32_attention
from redvillm.training.language_tuning import TrainedLanguage, TunedLinear


def ids():
    return torch.tensor([[3, 1, 4, 1, 5, 92, 65, 35, 8]])


def randomize(language, scale):
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in language.parameters().values():
            parameter.copy_(scale * torch.randn(parameter.shape, generator=generator))


def test_untrained_parts_change_nothing(llm):
    expected = llm(ids()).logits
    language = TrainedLanguage(llm, shifts=True)
    torch.testing.assert_close(llm(ids()).logits, expected, rtol=1e-5, atol=1e-5)  # the same sums, with zeros added
    # 7 matrices and 2 norms a layer, and the last norm
    assert len(language.parameters()) == 2 * (7 * 2 + 2) + 1


def test_a_tuned_layer_is_its_formula():
    torch.manual_seed(1)
    layer = TunedLinear(torch.nn.Linear(96, 5, bias=False), shifts=True)
    with torch.no_grad():
        layer.row_scale.normal_()
        layer.minimum_shift.normal_()
    x = torch.randn(3, 7, 96)
    weights = layer.linear.weight.detach().double().numpy() * (1 + layer.row_scale.detach().double().numpy()[:, None])
    weights = weights + np.repeat(layer.minimum_shift.detach().double().numpy(), 32, axis=1)
    np.testing.assert_allclose(layer(x).detach().numpy(), x.double().numpy() @ weights.T, rtol=1e-4, atol=1e-4)  # sums of 96 in float32


def test_values_are_named_after_the_file_and_can_be_loaded_again(llm):
    other = copy.deepcopy(llm)
    language = TrainedLanguage(llm, shifts=True)
    randomize(language, 0.1)
    values = language.values()
    assert values.row_scales["blk.1.ffn_down.weight"].shape == (32,)
    assert values.minimum_shifts["blk.0.ffn_down.weight"].shape == (32, 2)
    assert values.norms["output_norm.weight"].shape == (32,)
    loaded = TrainedLanguage(other, shifts=True)
    loaded.load(values)
    torch.testing.assert_close(other(ids()).logits, llm(ids()).logits, rtol=0, atol=0)


def test_without_shifts_there_are_none(llm):
    values = TrainedLanguage(llm).values()
    assert not values.minimum_shifts
    assert len(values.row_scales) == 14


def test_float32_attention_gives_what_the_model_gives(llm):
    """Also with a mask that hides one branch from another, in float32 exactly, in bfloat16 to its rounding."""
    mask = torch.tril(torch.ones(9, 9, dtype=torch.bool))
    mask[6:, 3:6] = False
    expected = llm(ids(), attention_mask=mask[None, None]).logits
    use_float32_attention(llm)
    torch.testing.assert_close(llm(ids(), attention_mask=mask[None, None]).logits, expected, rtol=1e-4, atol=1e-4)
    coarse = llm.to(torch.bfloat16)(ids(), attention_mask=mask[None, None]).logits
    assert coarse.dtype == torch.bfloat16
    torch.testing.assert_close(coarse.float(), expected, rtol=0.1, atol=0.1)
