import numpy as np
import pytest
import tiny_llama

from redvillm.errors import ExportError
from redvillm.export.gguf import EMBEDDING, HEAD, GgufFile, layer_tensor, rotate_half_order


def test_sizes_and_types_are_read(tmp_path):
    source = GgufFile(tiny_llama.write_gguf(tmp_path / "m.gguf"))
    sizes = source.sizes
    assert (sizes.num_layers, sizes.width, sizes.feed_forward_width) == (2, 64, 96)
    assert (sizes.num_heads, sizes.num_kv_heads, sizes.head_width) == (4, 2, 16)
    assert (sizes.vocabulary_size, sizes.max_context_tokens) == (len(tiny_llama.VOCABULARY), 256)
    assert (sizes.rope_base, sizes.norm_epsilon) == (10000.0, 1e-5)
    assert source.quantization(EMBEDDING) == "Q8_0"
    assert source.quantization(layer_tensor(1, "attn_q")) == "Q4_1"
    assert source.dequantize(layer_tensor(0, "ffn_down")).shape == (64, 96)
    assert EMBEDDING in source
    assert HEAD not in source


@pytest.mark.parametrize(("num_rows", "head_width"), [(2, 2), (64, 16), (192, 64)])
def test_rotate_half_order_undoes_the_interleaving(num_rows, head_width):
    rows = np.arange(num_rows).reshape(-1, 2, head_width // 2)
    stored = rows.swapaxes(1, 2).reshape(-1)
    np.testing.assert_array_equal(stored[rotate_half_order(num_rows, head_width)], np.arange(num_rows))


def test_what_is_missing_is_named(tmp_path):
    source = GgufFile(tiny_llama.write_gguf(tmp_path / "m.gguf"))
    with pytest.raises(ExportError, match=r"lacks the tensor 'blk.7.attn_q.weight'"):
        source.dequantize(layer_tensor(7, "attn_q"))
    with pytest.raises(ExportError, match=r"lacks the metadata 'no.such.key'"):
        source.metadata("no.such.key")
    assert source.metadata("no.such.key", 5) == 5
    with pytest.raises(ExportError, match="fetch the weights first"):
        GgufFile(tmp_path / "absent.gguf")


def test_another_architecture_is_refused(tmp_path):
    with pytest.raises(ExportError, match="'qwen2', 'llama' is wanted"):
        GgufFile(tiny_llama.write_gguf(tmp_path / "m.gguf", metadata={"general.architecture": "qwen2"}))


def test_scaled_rotary_embeddings_are_refused(tmp_path):
    with pytest.raises(ExportError, match="scales its rotary embeddings"):
        GgufFile(tiny_llama.write_gguf(tmp_path / "m.gguf", metadata={"llama.rope.scaling.type": "linear"}))


@pytest.mark.parametrize("keep", [0, 3, 4, 20, 200, 5000])
def test_a_truncated_file_is_refused(tmp_path, keep):
    path = tiny_llama.write_gguf(tmp_path / "m.gguf")
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ExportError, match="not a readable GGUF file"):
        GgufFile(path)


def test_other_bytes_are_refused(tmp_path):
    path = tmp_path / "m.gguf"
    path.write_bytes(np.random.default_rng(0).bytes(4096))
    with pytest.raises(ExportError, match="not a readable GGUF file"):
        GgufFile(path)
