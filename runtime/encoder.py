"""The vision encoder and the alignment of a bundle.

Knows the two graphs and their tensors; does not know the window, threads or videos.
"""

from typing import Protocol

import numpy as np
import numpy.typing as npt

from redvillm.errors import BackendError
from redvillm.manifest import Dimensions, GraphSpec, Tensors
from redvillm.runtime.frame import Pixels
from redvillm.runtime.window import Features, PooledStreams


class GraphSession(Protocol):
    """A loaded graph; safe to run from several threads."""

    def run(self, output_names: list[str], feeds: dict[str, npt.NDArray[np.generic]]) -> list[npt.NDArray[np.generic]]:
        """Run the graph."""


class VisionEncoder:
    """vision.onnx: pixels to patch features X."""

    def __init__(self, session: GraphSession, dimensions: Dimensions) -> None:
        self._session = session
        self._shape = (dimensions.num_patches, dimensions.vision_width)

    def encode(self, pixels: Pixels) -> Features:
        """Pixels uint8 [T, size, size, 3] RGB -> patch features X, float32 [T, N, D].

        Raises:
            BackendError: the graph does not give what the manifest says.
        """
        features = self._session.run([Tensors.FEATURES], {Tensors.PIXELS: np.ascontiguousarray(pixels)})[0]
        return _checked(features, (len(pixels), *self._shape), Tensors.FEATURES)


class Aligner:
    """align.onnx: pooled streams to visual tokens."""

    def __init__(self, session: GraphSession, dimensions: Dimensions, spec: GraphSpec) -> None:
        """`spec` tells which streams the graph takes."""
        self._session = session
        self._dimensions = dimensions
        self._names = tuple(tensor.name for tensor in spec.inputs)

    def num_visual_tokens(self, num_frames: int) -> int:
        """Return how many visual tokens a window of `num_frames` frames gives."""
        sizes = {
            Tensors.TEMPORAL_POOLING: self._dimensions.num_patches,
            Tensors.SPATIAL_POOLING: num_frames,
            Tensors.MOTION_ENERGY: self._dimensions.num_motion_tokens,
        }
        return sum(sizes[name] for name in self._names)

    @property
    def num_spatial_tokens(self) -> int:
        """How many of the visual tokens, the first ones, are spatial tokens."""
        return self._dimensions.num_patches

    def align_spatial(self, pooled: PooledStreams) -> npt.NDArray[np.float32]:
        """Return the spatial tokens only, float32 [N, H], read-only.

        Raises:
            BackendError: as `align`.
        """
        tokens = self.align(pooled)[: self.num_spatial_tokens].copy()
        tokens.flags.writeable = False
        return tokens

    def align(self, pooled: PooledStreams) -> npt.NDArray[np.float32]:
        """Return the visual tokens, float32 [num_visual_tokens, H], read-only.

        Raises:
            BackendError: the graph does not give what the manifest says.
        """
        streams = {
            Tensors.TEMPORAL_POOLING: pooled.temporal_pooling,
            Tensors.SPATIAL_POOLING: pooled.spatial_pooling,
            Tensors.MOTION_ENERGY: pooled.motion_energy,
        }
        tokens = self._session.run([Tensors.VISUAL_TOKENS], {name: np.ascontiguousarray(streams[name]) for name in self._names})[0]
        wanted = (self.num_visual_tokens(len(pooled.spatial_pooling)), self._dimensions.llm_width)
        checked = _checked(tokens, wanted, Tensors.VISUAL_TOKENS)
        checked.flags.writeable = False
        return checked


def _checked(tensor: npt.NDArray[np.generic], shape: tuple[int, ...], name: str) -> npt.NDArray[np.float32]:
    if tensor.shape != shape or tensor.dtype != np.float32:
        raise BackendError(
            f"{name} came out as {tensor.dtype} {list(tensor.shape)}, the manifest says float32 {list(shape)}; export the bundle again"
        )
    return tensor  # type: ignore[return-value]
