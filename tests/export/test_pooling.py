"""Torch pooling against the numpy specification."""

import numpy as np
import pytest
import torch

from redvillm.export.pooling import motion_energy, pool_streams
from redvillm.kernels import reference


@pytest.mark.parametrize("num_frames", [1, 2, 3, 5, 7, 16])
@pytest.mark.parametrize(("num_patches", "width", "num_segments"), [(1, 1, 1), (7, 13, 4), (49, 19, 4), (4, 5, 7)])
def test_streams_equal_the_specification(num_frames, num_patches, width, num_segments):
    x = np.random.default_rng(num_frames).normal(size=(num_frames, num_patches, width)).astype(np.float32)
    temporal, spatial, energy = (stream.numpy() for stream in pool_streams(torch.from_numpy(x), num_segments))
    expected_temporal, expected_spatial = reference.spatio_temporal_pool(x)
    expected_energy = reference.motion_energy(reference.frame_energy(x), num_segments)
    # float32 sums in another order
    np.testing.assert_allclose(temporal, expected_temporal, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(spatial, expected_spatial, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(energy, expected_energy, rtol=1e-5, atol=1e-6)


def test_a_still_window_has_no_motion():
    x = torch.rand(1, 9, 5).repeat(6, 1, 1)
    assert motion_energy(x, 4).abs().max() == 0


def test_motion_is_seen_where_and_when_it_happens():
    x = torch.zeros(5, 3, 2)
    x[3:, 1] = 1.0  # patch 1 changes between frames 2 and 3, the third of four pairs
    energy = motion_energy(x, 4)
    assert energy[2, 1] == 1
    energy[2, 1] = 0
    assert energy.abs().max() == 0
