"""align.onnx and video.onnx: from pooled streams, or from the pixels of a whole clip, to visual tokens.

Knows how encoder, pooling and adapter are joined; does not know what is inside them.
"""

import tempfile
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from redvillm.export.adapter import Adapter
from redvillm.export.image_llm import StreamAdapter
from redvillm.export.join import join_graphs
from redvillm.export.pooling import SpatioTemporalPool, motion_energy, pooling_function, pooling_opset
from redvillm.export.precision import Float16
from redvillm.export.torch_graph import GraphPlan, describe_graph, export_graph, write_graph
from redvillm.manifest import FitSpec, GraphSpec, Tensors

_EXAMPLE_FRAMES = 5


class PooledTokens(nn.Module):
    """Pooling and adapter as one module: patch features X [T, N, D] -> visual tokens [N + T + M, H]."""

    def __init__(self, adapter: Adapter | StreamAdapter) -> None:
        super().__init__()
        self.pool, self.adapter = SpatioTemporalPool(), adapter

    def forward(self, features: Tensor) -> Tensor:
        """Pool all frames at once."""
        temporal_pooling, spatial_pooling = self.pool(features)
        num_motion = self.adapter.sizes.num_motion_tokens
        motion = (motion_energy(features, num_motion),) if num_motion else ()
        tokens: Tensor = self.adapter(temporal_pooling, spatial_pooling, *motion)
        return tokens.float()  # the runtime takes float32, whatever the modules compute in


class Video(nn.Module):
    """Encoder, pooling and adapter as one module: pixels uint8 [T, size, size, 3] -> visual tokens [N + T + M, H]."""

    def __init__(self, encoder: nn.Module, adapter: Adapter | StreamAdapter) -> None:
        super().__init__()
        self.encoder, self.tokens = encoder, PooledTokens(adapter)

    def forward(self, pixels: Tensor) -> Tensor:
        """Encode all frames at once."""
        tokens: Tensor = self.tokens(self.encoder(pixels))
        return tokens


def export_align(adapter: Adapter | StreamAdapter, path: Path, *, half: bool = False) -> GraphSpec:
    """Write the adapter with a dynamic number of frames; `half` computes in float16 between float32 borders.

    Raises:
        ExportError: torch cannot export the adapter, or a weight that float16 cannot hold.
    """
    sizes = adapter.sizes
    inputs = {
        Tensors.TEMPORAL_POOLING: torch.rand(sizes.num_patches, sizes.vision_width),
        Tensors.SPATIAL_POOLING: torch.rand(_EXAMPLE_FRAMES, sizes.vision_width),
    }
    if sizes.num_motion_tokens:
        inputs[Tensors.MOTION_ENERGY] = torch.rand(sizes.num_motion_tokens, sizes.num_patches)
    module = Float16(adapter) if half else adapter
    return export_graph(GraphPlan(module, inputs, [Tensors.VISUAL_TOKENS], {Tensors.SPATIAL_POOLING: {0: "num_frames"}}), path)


def export_video(encoder: nn.Module, adapter: Adapter | StreamAdapter, fit: FitSpec, path: Path, *, with_function: bool = True) -> GraphSpec:
    """Write the whole way from pixels to visual tokens, with a dynamic number of frames.

    `with_function` False leaves out the function that stands for the pooling node where no kernel or plugin is registered; ONNX Runtime then needs
    the custom op.

    Raises:
        ExportError: torch cannot export the modules.
    """
    pixels = torch.zeros(_EXAMPLE_FRAMES, fit.height, fit.width, 3, dtype=torch.uint8)
    plan = GraphPlan(Video(encoder, adapter), {Tensors.PIXELS: pixels}, [Tensors.VISUAL_TOKENS], {Tensors.PIXELS: {0: "num_frames"}})
    return export_graph(plan, path, functions=[pooling_function()] if with_function else [], opsets=[pooling_opset()])


def export_video_from(vision: Path, adapter: Adapter | StreamAdapter, path: Path, *, half: bool = False) -> GraphSpec:
    """Write the same, its encoder being the graph `vision` as it was written; `half` computes pooling and adapter in float16.

    Raises:
        ExportError: torch cannot export the adapter, or a weight that float16 cannot hold.
    """
    with tempfile.TemporaryDirectory(dir=path.parent) as place:
        tokens = Path(place) / path.name
        export_pooled_tokens(adapter, tokens, half=half)
        return join_video(vision, tokens, path)


def export_pooled_tokens(adapter: Adapter | StreamAdapter, path: Path, *, half: bool = False) -> GraphSpec:
    """Write what comes after the encoder: patch features float32 [T, N, D] -> visual tokens.

    Raises:
        ExportError: as `export_video_from`.
    """
    sizes, tokens = adapter.sizes, PooledTokens(adapter)
    module = Float16(tokens) if half else tokens
    features = torch.rand(_EXAMPLE_FRAMES, sizes.num_patches, sizes.vision_width)
    plan = GraphPlan(module, {Tensors.FEATURES: features}, [Tensors.VISUAL_TOKENS], {Tensors.FEATURES: {0: "num_frames"}})
    return export_graph(plan, path, functions=[pooling_function()], opsets=[pooling_opset()])


def join_video(vision: Path, tokens: Path, path: Path) -> GraphSpec:
    """Write a graph of patch features and one of `export_pooled_tokens` as one."""
    model = join_graphs(onnx.load(vision), onnx.load(tokens))
    write_graph(model, path)
    onnx.checker.check_model(path)
    return describe_graph(model.graph)
