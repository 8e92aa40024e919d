import gguf
import numpy as np
import pytest
import tiny_llama
from block_weights import random_weights

from redvillm.errors import ExportError
from redvillm.export.gguf import EMBEDDING, GgufFile, layer_tensor
from redvillm.export.quantization import BlockWeights, read_block_weights, stack_rows, tile
from redvillm.export.tuning import LanguageTuning

PART = layer_tensor(1, "ffn_down")


@pytest.mark.parametrize("layers", ["Q4_0", "Q4_1", "Q8_0"])
def test_the_values_of_the_file_are_kept(tmp_path, layers):
    source = GgufFile(tiny_llama.write_gguf(tmp_path / "m.gguf", layers=layers))
    weights = read_block_weights(source, PART)
    assert (weights.num_outputs, weights.num_inputs) == (64, 96)
    assert (weights.minimums is None) == (layers != "Q4_1")
    # gguf's own dequantization; d * (q - 8) there and d * q - 8 d here: a rounding of float32 apart
    np.testing.assert_allclose(weights.dequantize(), source.dequantize(PART), rtol=0, atol=1e-7)


def test_codes_and_scales_are_the_stored_ones(tmp_path):
    """Against the block format read one byte at a time."""
    source = GgufFile(tiny_llama.write_gguf(tmp_path / "m.gguf"))
    weights = read_block_weights(source, PART)
    raw = source.blocks(PART)[5, 20:40].tobytes()  # second block of row 5
    scale, minimum = np.frombuffer(raw[:4], "<f2").astype(np.float64)
    assert weights.scales[5, 1] == scale
    assert weights.minimums[5, 1] == minimum
    codes = [raw[4 + i] & 15 if i < 16 else raw[4 + i - 16] >> 4 for i in range(32)]
    assert weights.codes[5, 1].tolist() == codes


@pytest.mark.parametrize(("bits", "minimums"), [(4, True), (4, False), (8, False)])
@pytest.mark.parametrize("rows", [1, 16, 50])
def test_tiles_are_those_of_the_kernels(bits, minimums, rows):
    """Against tiles written out one number at a time."""
    plain = random_weights(rows, 96, bits=bits, minimums=minimums, seed=rows)
    tiled = tile(BlockWeights(bits=bits, codes=plain.codes, scales=plain.scales, minimums=plain.minimums))
    assert (tiled.bits, tiled.num_outputs, tiled.num_inputs) == (bits, rows, 96)
    for value, expected in zip((tiled.codes, tiled.scales, tiled.minimums), plain.tiled(), strict=True):
        assert (value is None) == (expected is None)
        if expected is not None:
            assert (value.dtype, value.flags.c_contiguous) == (expected.dtype, True)
            np.testing.assert_array_equal(value, expected)


def test_a_row_order_moves_codes_scales_and_minimums(tmp_path):
    weights = read_block_weights(GgufFile(tiny_llama.write_gguf(tmp_path / "m.gguf")), PART)
    order = np.random.default_rng(1).permutation(64)
    np.testing.assert_array_equal(weights.rows(order).dequantize(), weights.dequantize()[order])


def test_stacked_rows_are_the_matrices_below_each_other(tmp_path):
    source = GgufFile(tiny_llama.write_gguf(tmp_path / "m.gguf"))
    parts = [read_block_weights(source, layer_tensor(0, part)) for part in ("attn_q", "attn_k", "attn_v")]
    np.testing.assert_array_equal(stack_rows(parts).dequantize(), np.concatenate([part.dequantize() for part in parts]))


def test_rows_with_and_without_minimums_stack_to_the_same_values(tmp_path):
    source = GgufFile(tiny_llama.write_gguf(tmp_path / "m.gguf"))
    plain = read_block_weights(source, layer_tensor(0, "attn_q"))
    shifted = LanguageTuning(row_scales={"a": np.full(plain.num_outputs, 0.25, np.float32)}).weights("a", plain)
    parts = [BlockWeights(bits=plain.bits, codes=plain.codes, scales=plain.scales, minimums=None), shifted]
    np.testing.assert_array_equal(stack_rows(parts).dequantize(), np.concatenate([part.dequantize() for part in parts]))


def test_different_formats_cannot_be_stacked(tmp_path):
    source = GgufFile(tiny_llama.write_gguf(tmp_path / "m.gguf"))
    with pytest.raises(ExportError, match="different formats"):
        stack_rows([read_block_weights(source, layer_tensor(0, "attn_q")), read_block_weights(source, EMBEDDING)])


def test_an_unknown_format_is_refused_with_the_legal_ones(tmp_path):
    source = GgufFile(tiny_llama.write_gguf(tmp_path / "m.gguf", layers=gguf.GGMLQuantizationType.Q5_1.name))
    with pytest.raises(ExportError, match=r"stored as Q5_1; legal are Q4_0, Q4_1, Q8_0"):
        read_block_weights(source, PART)
