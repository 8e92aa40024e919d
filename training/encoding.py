"""The vision encoder as a function of pixels, run by ONNX Runtime (three times the speed of torch on a CPU).

Knows how to export and run the encoder; does not know what is encoded.
"""

from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from redvillm.export.vision import export_vision
from redvillm.export.vision_encoders import LoadedEncoder
from redvillm.manifest import FitSpec, Tensors
from redvillm.training.features import Encoder

_BATCH = 8


def open_encoder(vision: LoadedEncoder, run: Path, threads: int) -> Encoder:
    """Return pixels uint8 [T, size, size, 3] -> X float32 [T, N, D]."""
    graph = run / "vision.onnx"
    if not graph.exists():
        run.mkdir(parents=True, exist_ok=True)
        export_vision(vision.module, FitSpec.square(vision.image_size), graph)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])

    def encode(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        parts = [session.run([Tensors.FEATURES], {Tensors.PIXELS: pixels[start : start + _BATCH]})[0] for start in range(0, len(pixels), _BATCH)]
        return np.concatenate(parts)

    return encode
