"""redvillm.kernels: temporal pooling, spatial pooling and frame energy of patch features, for whole clips and for live windows.

Knows arrays; does not know videos, models or engines. `reference` is the specification, the native module its fast form.
"""

from redvillm.kernels.backend import describe_backend
from redvillm.kernels.ops import frame_energy, motion_energy, spatio_temporal_pool
from redvillm.kernels.streaming import PooledWindow, StreamingPool

__all__ = ["PooledWindow", "StreamingPool", "describe_backend", "frame_energy", "motion_energy", "spatio_temporal_pool"]
