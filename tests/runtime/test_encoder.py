"""The encoder and the alignment over fake graphs: shapes are checked, streams are fed by name."""

import numpy as np
import pytest

from redvillm.errors import BackendError
from redvillm.manifest import GraphSpec
from redvillm.runtime.clip_pool import KernelClipPool
from redvillm.runtime.encoder import Aligner, VisionEncoder


class Session:
    def __init__(self, output):
        self.output = output
        self.feeds = {}

    def run(self, output_names, feeds):
        self.feeds = feeds
        return [self.output]


@pytest.mark.parametrize("num_frames", [1, 3])
def test_features_of_the_declared_shape_pass(dimensions, num_frames):
    want = np.ones((num_frames, 4, 6), np.float32)
    session = Session(want)
    pixels = np.zeros((num_frames, 16, 32, 3), np.uint8)[:, :, ::2]  # not contiguous
    assert VisionEncoder(session, dimensions).encode(pixels) is want
    assert session.feeds["pixels"].flags.c_contiguous


@pytest.mark.parametrize("bad", [np.ones((1, 4, 7), np.float32), np.ones((1, 4, 6), np.float64), np.ones((2, 4, 6), np.float32)])
def test_features_of_another_shape_are_an_error(dimensions, bad):
    with pytest.raises(BackendError, match=r"the manifest says float32 \[1, 4, 6\]"):
        VisionEncoder(Session(bad), dimensions).encode(np.zeros((1, 16, 16, 3), np.uint8))


def test_a_graph_without_motion_gets_two_streams(dimensions, align_spec):
    pooled = KernelClipPool(2).pool(np.ones((3, 4, 6), np.float32))
    session = Session(np.zeros((7, 10), np.float32))
    aligner = Aligner(session, dimensions, GraphSpec(inputs=align_spec.inputs[:2], outputs=align_spec.outputs))
    assert aligner.num_visual_tokens(3) == 7
    assert not aligner.align(pooled).flags.writeable
    assert set(session.feeds) == {"temporal_pooling", "spatial_pooling"}


def test_a_wrong_number_of_visual_tokens_is_an_error(dimensions, align_spec):
    pooled = KernelClipPool(2).pool(np.ones((3, 4, 6), np.float32))
    with pytest.raises(BackendError, match=r"\[9, 10\]"):
        Aligner(Session(np.zeros((8, 10), np.float32)), dimensions, align_spec).align(pooled)


@pytest.mark.parametrize("num_frames", [1, 2, 5])
def test_a_clip_is_pooled_as_the_reference_says(num_frames):
    x = np.random.default_rng(0).standard_normal((num_frames, 3, 5)).astype(np.float32)
    pooled = KernelClipPool(0).pool(x)
    np.testing.assert_allclose(pooled.temporal_pooling, x.mean(0), atol=1e-6)  # float32 sums in another order
    np.testing.assert_allclose(pooled.spatial_pooling, x.mean(1), atol=1e-6)
    assert pooled.motion_energy.shape == (0, 3)
