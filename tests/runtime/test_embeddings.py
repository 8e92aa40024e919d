import dataclasses

import numpy as np
import pytest

from redvillm.errors import BundleFileError
from redvillm.manifest import Dimensions, Files
from redvillm.runtime.embeddings import EmbeddingTable

SIZE, WIDTH = 11, 64
DIMENSIONS = Dimensions(
    num_frames=1,
    num_patches=1,
    vision_width=1,
    llm_width=WIDTH,
    num_motion_tokens=0,
    image_size=1,
    vocabulary_size=SIZE,
    num_layers=1,
    num_kv_heads=1,
    head_width=8,
    max_context_tokens=8,
)


@pytest.fixture
def folder(tmp_path):
    random = np.random.default_rng(0)
    np.save(tmp_path / Files.EMBEDDING_CODES, random.integers(0, 256, (SIZE, WIDTH), dtype=np.uint8))
    np.save(tmp_path / Files.EMBEDDING_SCALES, random.uniform(0.01, 1, (SIZE, WIDTH // 32)).astype(np.float32))
    return tmp_path


@pytest.mark.parametrize("ids", [[], [0], [10, 10, 3], list(range(11))])
def test_rows_are_the_dequantized_ones(folder, ids):
    codes = np.load(folder / Files.EMBEDDING_CODES).astype(np.float64)
    scales = np.load(folder / Files.EMBEDDING_SCALES)
    rows = EmbeddingTable(folder, DIMENSIONS).lookup(ids)
    assert (rows.dtype, rows.shape) == (np.float32, (len(ids), WIDTH))
    for row, token_id in zip(rows, ids, strict=True):
        expected = [(codes[token_id, column] - 128) * scales[token_id, column // 32] for column in range(WIDTH)]
        np.testing.assert_allclose(row, expected, rtol=1e-6)


@pytest.mark.parametrize("token_id", [-1, SIZE])
def test_an_unknown_token_is_an_error(folder, token_id):
    with pytest.raises(BundleFileError, match="outside the 11"):
        EmbeddingTable(folder, DIMENSIONS).lookup([0, token_id])


@pytest.mark.parametrize("other", [{"vocabulary_size": 12}, {"llm_width": 32}])
def test_another_shape_than_the_manifest_says_is_an_error(folder, other):
    with pytest.raises(BundleFileError, match="export the bundle again"):
        EmbeddingTable(folder, dataclasses.replace(DIMENSIONS, **other))


def test_scales_that_do_not_divide_the_width_are_an_error(folder):
    for num_blocks in (0, 3):
        np.save(folder / Files.EMBEDDING_SCALES, np.ones((SIZE, num_blocks), np.float32))
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
    np.save(folder / Files.EMBEDDING_SCALES, np.ones((SIZE, 2), np.float64))
    with pytest.raises(BundleFileError, match="float64"):
        EmbeddingTable(folder, DIMENSIONS)
    (folder / Files.EMBEDDING_SCALES).unlink()
    with pytest.raises(BundleFileError, match="cannot be read"):
        EmbeddingTable(folder, DIMENSIONS)
