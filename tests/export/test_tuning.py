"""The tuning of an LLM: its formula on blocks, its place in an adapter file, and what does not fit."""

import numpy as np
import pytest

from redvillm.errors import ExportError
from redvillm.export.adapter import Adapter, AdapterOptions, load_adapter, load_tuning, save_adapter
from redvillm.export.quantization import BlockWeights
from redvillm.export.tuning import NO_TUNING, LanguageTuning

NAME = "blk.3.ffn_up.weight"


def blocks(rows=7, num_blocks=3, *, bits=4, minimums=True):
    random = np.random.default_rng(rows)
    return BlockWeights(
        bits=bits,
        codes=random.integers(0, 1 << bits, (rows, num_blocks, 32), dtype=np.uint8),
        scales=random.uniform(0.01, 0.1, (rows, num_blocks)).astype(np.float16),
        minimums=random.normal(0, 0.3, (rows, num_blocks)).astype(np.float16) if minimums else None,
    )


@pytest.mark.parametrize("minimums", [True, False])
@pytest.mark.parametrize(("rows", "num_blocks"), [(1, 1), (7, 3), (16, 5)])
def test_a_tuned_matrix_is_the_formula(rows, num_blocks, minimums):
    weights, random = blocks(rows, num_blocks, minimums=minimums), np.random.default_rng(1)
    scale, shift = random.normal(0, 0.2, rows).astype(np.float32), random.normal(0, 0.2, (rows, num_blocks)).astype(np.float32)
    tuned = LanguageTuning(row_scales={NAME: scale}, minimum_shifts={NAME: shift}).weights(NAME, weights)
    plain = weights.dequantize().astype(np.float64)
    expected = plain * (1 + scale[:, None]) + np.repeat(shift, 32, axis=1)
    np.testing.assert_array_equal(tuned.codes, weights.codes)
    # float16 scales and minimums: 2^-11 of up to 15 * 0.1 * 1.6 and of about 2
    np.testing.assert_allclose(tuned.dequantize(), expected, atol=3e-3)


def test_tuned_values_are_the_same_formula():
    """A matrix that is not quantized: the change of a block's minimum is one of all of its values."""
    random = np.random.default_rng(1)
    values = random.normal(size=(7, 96)).astype(np.float32)
    scale, shift = random.normal(0, 0.2, 7).astype(np.float32), random.normal(0, 0.2, (7, 3)).astype(np.float32)
    tuned = LanguageTuning(row_scales={NAME: scale}, minimum_shifts={NAME: shift}).values(NAME, values)
    np.testing.assert_allclose(
        tuned, values.astype(np.float64) * (1 + scale[:, None]) + np.repeat(shift, 32, axis=1), rtol=0, atol=1e-6
    )  # float32 sums of size one
    np.testing.assert_allclose(LanguageTuning(row_scales={NAME: scale}).values(NAME, values), values * (1 + scale[:, None]), rtol=1e-6)
    assert NO_TUNING.values(NAME, values) is values
    with pytest.raises(ExportError, match="tunes another LLM"):
        LanguageTuning(minimum_shifts={NAME: shift}).values(NAME, values[:, :64])


def test_what_is_not_tuned_stays():
    weights = blocks()
    assert NO_TUNING.weights(NAME, weights) is weights
    assert NO_TUNING.is_empty
    values = np.arange(5, dtype=np.float32)
    assert LanguageTuning(norms={"other": values}).norm("output_norm.weight", values) is values
    np.testing.assert_allclose(LanguageTuning(norms={"n": np.full(5, 0.5, np.float32)}).norm("n", values), 1.5 * values)


def test_a_tuning_of_another_llm_is_refused():
    with pytest.raises(ExportError, match="tunes another LLM"):
        LanguageTuning(row_scales={NAME: np.zeros(8, np.float32)}).weights(NAME, blocks(rows=7))
    with pytest.raises(ExportError, match="tunes another LLM"):
        LanguageTuning(minimum_shifts={NAME: np.zeros((7, 2), np.float32)}).weights(NAME, blocks(rows=7))
    with pytest.raises(ExportError, match="tunes another LLM"):
        LanguageTuning(norms={"n": np.zeros(4, np.float32)}).norm("n", np.zeros(5, np.float32))


def test_an_adapter_file_holds_both(tmp_path):
    sizes = AdapterOptions(num_patches=2, vision_width=3, llm_width=4, num_motion_tokens=1, hidden_width=5, motion_hidden_width=2)
    tuning = LanguageTuning(row_scales={NAME: np.array([0.5, -0.25], np.float32)}, norms={"output_norm.weight": np.array([1, 2], np.float32)})
    adapter = Adapter(sizes)
    save_adapter(adapter, tmp_path / "a.safetensors", metadata={}, tuning=tuning)
    loaded = load_tuning(tmp_path / "a.safetensors")
    np.testing.assert_array_equal(loaded.row_scales[NAME], tuning.row_scales[NAME])
    np.testing.assert_array_equal(loaded.norms["output_norm.weight"], tuning.norms["output_norm.weight"])
    assert not loaded.minimum_shifts
    assert load_adapter(tmp_path / "a.safetensors").options == sizes
    save_adapter(adapter, tmp_path / "b.safetensors", metadata={})
    assert load_tuning(tmp_path / "b.safetensors").is_empty
    with pytest.raises(ExportError, match="redvillm train"):
        load_tuning(tmp_path / "absent")
