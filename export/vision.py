"""vision.onnx: uint8 pixels of one or more frames -> patch features X, normalisation inside.

Knows which tensors cross the border; does not know which encoder it exports.
"""

from pathlib import Path

import torch
from torch import nn

from redvillm.export.torch_graph import GraphPlan, export_graph
from redvillm.manifest import GraphSpec, Tensors


def export_vision(encoder: nn.Module, image_size: int, path: Path) -> GraphSpec:
    """Write `encoder` (pixels uint8 [T, size, size, 3] -> float32 [T, N, D]) with a dynamic T.

    Raises:
        ExportError: torch cannot export the encoder.
    """
    pixels = torch.zeros(2, image_size, image_size, 3, dtype=torch.uint8)
    return export_graph(GraphPlan(encoder, {Tensors.PIXELS: pixels}, [Tensors.FEATURES], {Tensors.PIXELS: {0: "num_frames"}}), path)
