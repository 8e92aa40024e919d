"""align.onnx and video.onnx: from pooled streams, or from the pixels of a whole clip, to visual tokens.

Knows how encoder, pooling and adapter are joined; does not know what is inside them.
"""

from pathlib import Path

import torch
from torch import Tensor, nn

from redvillm.export.adapter import Adapter
from redvillm.export.image_llm import StreamAdapter
from redvillm.export.pooling import SpatioTemporalPool, motion_energy, pooling_function, pooling_opset
from redvillm.export.torch_graph import GraphPlan, export_graph
from redvillm.manifest import FitSpec, GraphSpec, Tensors

_EXAMPLE_FRAMES = 5


class Video(nn.Module):
    """Encoder, pooling and adapter as one module: pixels uint8 [T, size, size, 3] -> visual tokens [N + T + M, H]."""

    def __init__(self, encoder: nn.Module, adapter: Adapter | StreamAdapter) -> None:
        super().__init__()
        self.encoder, self.pool, self.adapter = encoder, SpatioTemporalPool(), adapter

    def forward(self, pixels: Tensor) -> Tensor:
        """Encode all frames at once."""
        features = self.encoder(pixels)
        temporal_pooling, spatial_pooling = self.pool(features)
        num_motion = self.adapter.sizes.num_motion_tokens
        motion = (motion_energy(features, num_motion),) if num_motion else ()
        tokens: Tensor = self.adapter(temporal_pooling, spatial_pooling, *motion)
        return tokens.float()  # the runtime takes float32, whatever the modules compute in


def export_align(adapter: Adapter | StreamAdapter, path: Path) -> GraphSpec:
    """Write the adapter with a dynamic number of frames.

    Raises:
        ExportError: torch cannot export the adapter.
    """
    sizes = adapter.sizes
    inputs = {
        Tensors.TEMPORAL_POOLING: torch.rand(sizes.num_patches, sizes.vision_width),
        Tensors.SPATIAL_POOLING: torch.rand(_EXAMPLE_FRAMES, sizes.vision_width),
    }
    if sizes.num_motion_tokens:
        inputs[Tensors.MOTION_ENERGY] = torch.rand(sizes.num_motion_tokens, sizes.num_patches)
    return export_graph(GraphPlan(adapter, inputs, [Tensors.VISUAL_TOKENS], {Tensors.SPATIAL_POOLING: {0: "num_frames"}}), path)


def export_video(encoder: nn.Module, adapter: Adapter | StreamAdapter, fit: FitSpec, path: Path, *, with_function: bool = True) -> GraphSpec:
    """Write the whole way from pixels to visual tokens, with a dynamic number of frames.

    `with_function` False leaves out the function that stands for the pooling node where no kernel or plugin is registered. TensorRT before 10.7
    (JetPack 6) prefers a function to a plugin of the same name, so a graph for its plugin must not have one; ONNX Runtime then needs the custom op.

    Raises:
        ExportError: torch cannot export the modules.
    """
    pixels = torch.zeros(_EXAMPLE_FRAMES, fit.height, fit.width, 3, dtype=torch.uint8)
    plan = GraphPlan(Video(encoder, adapter), {Tensors.PIXELS: pixels}, [Tensors.VISUAL_TOKENS], {Tensors.PIXELS: {0: "num_frames"}})
    return export_graph(plan, path, functions=[pooling_function()] if with_function else [], opsets=[pooling_opset()])
