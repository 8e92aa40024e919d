import dataclasses

import numpy as np
import pytest

from redvillm.errors import BundleFileError
from redvillm.manifest import Dimensions, Files
from redvillm.runtime.embeddings import EmbeddingTable

SIZE, WIDTH, TILES = 19, 64, 2  # the second tile is not full
DIMENSIONS = Dimensions(
    num_frames=1,
    num_patches=1,
    vision_width=1,
    llm_width=WIDTH,
    num_motion_tokens=0,
    vocabulary_size=SIZE,
    num_layers=1,
    num_kv_heads=1,
    head_width=8,
    max_context_tokens=8,
)


def plain_table():
    """Codes [V, H] and scales [V, H / 32], before they are interleaved."""
    random = np.random.default_rng(0)
    return random.integers(0, 256, (SIZE, WIDTH), dtype=np.uint8), random.uniform(0.01, 1, (SIZE, WIDTH // 32)).astype(np.float16)


@pytest.fixture
def folder(tmp_path):
    """The table with its tokens in tiles of sixteen, written out one number at a time."""
    codes, scales = plain_table()
    tiled_codes, tiled_scales = np.zeros((TILES, WIDTH // 32, 8, 16, 4), np.uint8), np.zeros((TILES, WIDTH // 32, 16), np.float16)
    for token in range(SIZE):
        tile, row = divmod(token, 16)
        tiled_scales[tile, :, row] = scales[token]
        for column in range(WIDTH):
            tiled_codes[tile, column // 32, column % 32 // 4, row, column % 4] = codes[token, column]
    np.save(tmp_path / Files.EMBEDDING_CODES, tiled_codes)
    np.save(tmp_path / Files.EMBEDDING_SCALES, tiled_scales)
    return tmp_path


@pytest.mark.parametrize("ids", [[], [0], [18, 18, 3], list(range(SIZE))])
def test_rows_are_the_dequantized_ones(folder, ids):
    codes, scales = plain_table()
    rows = EmbeddingTable(folder, DIMENSIONS).lookup(ids)
    assert (rows.dtype, rows.shape) == (np.float32, (len(ids), WIDTH))
    for row, token_id in zip(rows, ids, strict=True):
        expected = [(float(codes[token_id, column]) - 128) * float(scales[token_id, column // 32]) for column in range(WIDTH)]
        np.testing.assert_allclose(row, expected, rtol=1e-6)


@pytest.mark.parametrize("token_id", [-1, SIZE])
def test_an_unknown_token_is_an_error(folder, token_id):
    with pytest.raises(BundleFileError, match="outside the 19"):
        EmbeddingTable(folder, DIMENSIONS).lookup([0, token_id])


@pytest.mark.parametrize("other", [{"vocabulary_size": 33}, {"vocabulary_size": 16}, {"llm_width": 32}])
def test_another_shape_than_the_manifest_says_is_an_error(folder, other):
    with pytest.raises(BundleFileError, match="export the bundle again"):
        EmbeddingTable(folder, dataclasses.replace(DIMENSIONS, **other))


def test_scales_that_do_not_divide_the_width_are_an_error(folder):
    for num_blocks in (0, 3):
        np.save(folder / Files.EMBEDDING_SCALES, np.ones((TILES, num_blocks, 16), np.float16))
        with pytest.raises(BundleFileError, match="export the bundle again"):
            EmbeddingTable(folder, DIMENSIONS)


@pytest.mark.parametrize("content", [b"", b"not an array", b"\x93NUMPY\x01\x00\xff\xff"])
def test_an_unreadable_file_is_an_error(folder, content):
    (folder / Files.EMBEDDING_CODES).write_bytes(content)
    with pytest.raises(BundleFileError, match="cannot be read"):
        EmbeddingTable(folder, DIMENSIONS)


def test_a_pickled_array_is_not_opened(folder):
    np.save(folder / Files.EMBEDDING_CODES, np.array([[object()]]), allow_pickle=True)
    with pytest.raises(BundleFileError, match="cannot be read"):
        EmbeddingTable(folder, DIMENSIONS)


def test_a_missing_file_or_another_type_is_an_error(folder):
    np.save(folder / Files.EMBEDDING_SCALES, np.ones((TILES, 2, 16), np.float64))
    with pytest.raises(BundleFileError, match="float64"):
        EmbeddingTable(folder, DIMENSIONS)
    (folder / Files.EMBEDDING_SCALES).unlink()
    with pytest.raises(BundleFileError, match="cannot be read"):
        EmbeddingTable(folder, DIMENSIONS)
