"""Rotary positions with three parts, against those of transformers' Qwen2.5-VL."""

import numpy as np
import pytest

from redvillm.manifest import RotarySpec
from redvillm.rotary import position_after, rotary_tables, text_positions, visual_positions

SPEC = RotarySpec(base=10000.0, sections=(2, 3, 3), grid_rows=3, grid_columns=5)


def test_positions_by_hand():
    spec = RotarySpec(base=10000.0, sections=(2, 3, 3), grid_rows=2, grid_columns=2)
    assert visual_positions(spec, 7, 6).tolist() == [[7, 7, 7], [7, 7, 8], [7, 8, 7], [7, 8, 8], [9, 9, 9], [10, 10, 10]]
    assert visual_positions(spec, 7, 3).tolist() == [[7, 7, 7], [7, 7, 8], [7, 8, 7]]
    assert text_positions(4, 2).tolist() == [[4, 4, 4], [5, 5, 5]]
    assert position_after(visual_positions(spec, 7, 4)) == 9


def test_an_image_and_text_lie_where_transformers_puts_them():
    torch = pytest.importorskip("torch")
    import tiny_checkpoints

    model, _ = tiny_checkpoints.processing("qwen2_5_vl")
    image = tiny_checkpoints.SPECIAL.index("<|image_pad|>")
    ids = torch.tensor([[50, 51, 52, *[image] * 15, 53, 54]])
    expected, _ = model.model.get_rope_index(ids, (ids == image).int(), image_grid_thw=torch.tensor([[1, 6, 10]]))
    found = np.concatenate([text_positions(0, 3), visual_positions(SPEC, 3, 15)])
    found = np.concatenate([found, text_positions(position_after(found), 2)])
    np.testing.assert_array_equal(found.T, expected[:, 0].numpy())


def test_tables_are_those_of_transformers():
    torch = pytest.importorskip("torch")
    import tiny_checkpoints

    model, _ = tiny_checkpoints.processing("qwen2_5_vl")
    positions = np.random.default_rng(0).integers(0, 300, (11, 3))
    cosines, sines = model.model.language_model.rotary_emb(torch.zeros(1), torch.from_numpy(positions.T.copy())[:, None])
    for found, expected in zip(rotary_tables(SPEC, positions, 16), (cosines, sines), strict=True):
        # both halves of a head turn by the same angles; float32 angles there, float64 here
        np.testing.assert_allclose(np.concatenate([found, found], axis=1), expected[0].numpy(), atol=3e-5)
