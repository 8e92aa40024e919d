"""vision.onnx: uint8 pixels of one or more frames -> patch features X, normalisation inside.

Knows which tensors cross the border and in which precision the layers between compute; does not know which encoder it exports.
"""

from pathlib import Path

import onnx
import torch
from torch import nn

from redvillm.export.attention import attention_operator
from redvillm.export.calibration import calibration_frames
from redvillm.export.precision import Float16
from redvillm.export.qdq import ONNXRUNTIME_FORM, TENSORRT_FORM, quantize_graph
from redvillm.export.targets import PLAIN_VISION, VisionChoice
from redvillm.export.torch_graph import GraphPlan, export_graph, write_graph
from redvillm.manifest import FitSpec, GraphSpec, Tensors


def export_vision(encoder: nn.Module, fit: FitSpec, path: Path, choice: VisionChoice = PLAIN_VISION) -> GraphSpec:
    """Write `encoder` (pixels uint8 [T, height, width, 3] -> float32 [T, N, D]) with a dynamic T.

    int8 is calibrated with the frames of the choice, or with those that come with the package; pixels and features keep their types, whatever is
    between them.

    Raises:
        ExportError: torch cannot export the encoder, it has no layer to quantize, or a weight that float16 cannot hold.
        OptionsError: a file to calibrate with that holds no frames.
    """
    module = Float16(encoder) if choice.half else encoder
    pixels = torch.zeros(2, fit.height, fit.width, 3, dtype=torch.uint8)
    with attention_operator(module, choice.form.attention):
        spec = export_graph(GraphPlan(module, {Tensors.PIXELS: pixels}, [Tensors.FEATURES], {Tensors.PIXELS: {0: "num_frames"}}), path)
    if choice.precision == "int8":
        quantized = quantize_graph(onnx.load(path), calibration_frames(fit, choice.calibration), TENSORRT_FORM if choice.half else ONNXRUNTIME_FORM)
        path.with_name(f"{path.name}.data").unlink(missing_ok=True)
        write_graph(quantized, path)
        onnx.checker.check_model(path)
    return spec
