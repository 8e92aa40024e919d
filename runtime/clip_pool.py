"""Pooling a whole clip with redvillm.kernels, exact and in one pass.

Knows the kernels; does not know where features come from.
"""

from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from redvillm.kernels import ops
from redvillm.runtime.window import Features


@dataclass(frozen=True, eq=False)
class PooledClip:
    """Pooled streams of a clip: float32 [N, D], [T, D] and [M, N]."""

    temporal_pooling: npt.NDArray[Any]
    spatial_pooling: npt.NDArray[Any]
    motion_energy: npt.NDArray[Any]


class KernelClipPool:
    """Pools with the native kernels; the streaming pool of a live window gives the same streams frame by frame."""

    def __init__(self, num_motion_tokens: int) -> None:
        self._num_motion_tokens = num_motion_tokens

    def pool(self, features: Features) -> PooledClip:
        """Patch features X, float32 [T, N, D] -> the pooled streams."""
        temporal_pooling, spatial_pooling = ops.spatio_temporal_pool(features)
        energy = ops.motion_energy(ops.frame_energy(features), self._num_motion_tokens)
        return PooledClip(temporal_pooling, spatial_pooling, energy)
