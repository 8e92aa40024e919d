"""vision.onnx: uint8 pixels of one or more frames -> patch features X, normalisation inside.

Knows which tensors cross the border and in which precision the layers between compute; does not know which encoder it exports.
"""

from pathlib import Path
from typing import Literal

import onnx
import torch
from torch import nn

from redvillm.errors import OptionsError
from redvillm.export.calibration import calibration_frames
from redvillm.export.qdq import ONNXRUNTIME_FORM, quantize_graph
from redvillm.export.torch_graph import GraphPlan, export_graph, write_graph
from redvillm.manifest import VISION_PRECISIONS, FitSpec, GraphSpec, Tensors

Precision = Literal["int8", "fp32"]
DESCRIPTIONS = {"int8": "int8 weights and activations, float32 features", "fp32": "float32"}


def export_vision(encoder: nn.Module, fit: FitSpec, path: Path, *, precision: Precision = "fp32") -> GraphSpec:
    """Write `encoder` (pixels uint8 [T, height, width, 3] -> float32 [T, N, D]) with a dynamic T.

    int8 is calibrated with frames that come with the package; pixels and features keep their types.

    Raises:
        ExportError: torch cannot export the encoder, or it has no layer to quantize.
        OptionsError: an unknown precision.
    """
    check_precision(precision)
    pixels = torch.zeros(2, fit.height, fit.width, 3, dtype=torch.uint8)
    spec = export_graph(GraphPlan(encoder, {Tensors.PIXELS: pixels}, [Tensors.FEATURES], {Tensors.PIXELS: {0: "num_frames"}}), path)
    if precision == "int8":
        quantized = quantize_graph(onnx.load(path), calibration_frames(fit), ONNXRUNTIME_FORM)
        onnx.checker.check_model(quantized)
        path.with_name(f"{path.name}.data").unlink(missing_ok=True)
        write_graph(quantized, path)
    return spec


def check_precision(precision: str) -> None:
    """Check a precision before anything is done.

    Raises:
        OptionsError: not one of VISION_PRECISIONS.
    """
    if precision not in VISION_PRECISIONS:
        raise OptionsError(f"{precision!r:.40} is not a precision of the vision encoder; legal are {', '.join(VISION_PRECISIONS)}")
