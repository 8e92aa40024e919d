"""The adapter: shapes, scale, and its file."""

import pytest
import torch

from redvillm.errors import ExportError, OptionsError
from redvillm.export.adapter import Adapter, AdapterOptions, load_adapter, save_adapter

SMALL = AdapterOptions(num_patches=6, vision_width=10, llm_width=8, num_motion_tokens=3, hidden_width=12, motion_hidden_width=5)


def streams(num_frames):
    return torch.rand(6, 10), torch.rand(num_frames, 10), torch.rand(3, 6)


@pytest.mark.parametrize("num_frames", [1, 2, 13])
def test_tokens_come_in_the_order_spatial_temporal_motion(num_frames):
    adapter = Adapter(SMALL)
    temporal, spatial, motion = streams(num_frames)
    tokens = adapter(temporal, spatial, motion)
    assert tokens.shape == (6 + num_frames + 3, 8)
    torch.testing.assert_close(adapter(temporal, spatial, motion + 1)[: 6 + num_frames], tokens[: 6 + num_frames])
    torch.testing.assert_close(adapter(temporal, spatial + 1, motion)[:6], tokens[:6])
    assert not torch.allclose(adapter(temporal, spatial, motion + 1)[-3:], tokens[-3:])


def test_gain_sets_the_size_of_each_stream():
    adapter = Adapter(SMALL)
    adapter.gain.data.copy_(torch.tensor([0.5, 2.0, 3.0]))
    sizes = adapter(*streams(2)).square().mean(-1).sqrt()
    torch.testing.assert_close(sizes, torch.tensor([0.5] * 6 + [2.0] * 2 + [3.0] * 3), rtol=1e-3, atol=1e-3)


def test_a_file_gives_the_same_adapter_again(tmp_path):
    adapter = Adapter(SMALL)
    save_adapter(adapter, tmp_path / "adapter.safetensors", metadata={"recipe": "test"})
    again = load_adapter(tmp_path / "adapter.safetensors")
    assert again.options == SMALL
    inputs = streams(4)
    # weights are kept as float16: half a unit in the eleventh bit each
    torch.testing.assert_close(again(*inputs), adapter(*inputs), rtol=1e-2, atol=1e-2)
    save_adapter(again, tmp_path / "twice.safetensors", metadata={"recipe": "test"})
    assert (tmp_path / "twice.safetensors").read_bytes() == (tmp_path / "adapter.safetensors").read_bytes()


def test_another_file_is_refused_in_words(tmp_path):
    (tmp_path / "text.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0not json, really")
    for name in ("text.safetensors", "absent.safetensors"):
        with pytest.raises(ExportError, match="not an adapter"):
            load_adapter(tmp_path / name)


def test_sizes_must_be_positive():
    with pytest.raises(OptionsError, match="hidden_width is 0"):
        AdapterOptions(hidden_width=0)
