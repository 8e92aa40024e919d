"""Graphs in float16 against the same graphs in float32, both in ONNX Runtime on the CPU."""

import numpy as np
import onnxruntime
import pytest
import torch

from redvillm.errors import ExportError
from redvillm.export.precision import in_float16

# Ten bits of fraction through 50 layers of random weights; the worst token of the trained model measured 0.99998. A wrong layout gives < 0.99.
SMALLEST_COSINE = 0.999


def run(path, pixels):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    outputs = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"]).run(None, {"pixels": pixels})
    return outputs, [output.astype(np.float64) for output in outputs]


def cosines(a, b):
    return (a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)


@pytest.mark.parametrize("graphs", ["vit_graphs", "video_graphs"])
def test_float16_is_close_to_float32(request, graphs):
    paths = request.getfixturevalue(graphs)
    size = 56 if graphs == "vit_graphs" else 224
    pixels = np.random.default_rng(0).integers(0, 256, (3, size, size, 3), np.uint8)
    (_, wide), (half_outputs, half) = run(paths["float32"], pixels), run(paths["float16"], pixels)
    for expected, found in zip(wide, half, strict=True):
        assert found.shape == expected.shape
        assert np.isfinite(found).all()
        assert cosines(expected, found).min() > SMALLEST_COSINE
        assert (expected != found).any()
    # pooled streams keep the type of the features, visual tokens are what the runtime takes
    assert {output.dtype.name for output in half_outputs} == {"float16" if graphs == "vit_graphs" else "float32"}


def test_the_module_itself_is_not_changed():
    module = torch.nn.Linear(3, 2)
    assert in_float16(module).weight.dtype == torch.float16
    assert module.weight.dtype == torch.float32


def test_weights_that_float16_cannot_hold_are_refused():
    module = torch.nn.Linear(3, 2)
    module.weight.data[1, 2] = -7e4
    with pytest.raises(ExportError, match="weight"):
        in_float16(module)
