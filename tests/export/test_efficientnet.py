"""EfficientNet-Lite0 against a plain reading of its definition: unfolded batch normalisation and TensorFlow's padding formula."""

import math

import pytest
import torch
from random_efficientnet import STAGES, random_state
from torch.nn import functional

from redvillm.errors import ExportError
from redvillm.export.efficientnet import FEATURE_WIDTH, GRID_SIZE, IMAGE_SIZE, load_efficientnet_lite0


def convolve(x, state, weight, norm, stride=1, groups=1):
    size = state[f"{weight}.weight"].shape[-1]
    total = [max((math.ceil(length / stride) - 1) * stride + size - length, 0) for length in x.shape[2:]]
    x = functional.pad(x, (total[1] // 2, total[1] - total[1] // 2, total[0] // 2, total[0] - total[0] // 2))
    x = functional.conv2d(x, state[f"{weight}.weight"].double(), stride=stride, groups=groups)
    parts = [state[f"{norm}.{part}"].double() for part in ("running_mean", "running_var", "weight", "bias")]
    return functional.batch_norm(x, *parts, training=False, eps=1e-3)


def reference(pixels, state):
    x = (pixels.permute(0, 3, 1, 2).double() - 127) / 128
    x = convolve(x, state, "_conv_stem", "_bn0", stride=2).clamp(0, 6)
    number = 0
    for blocks, _, first_stride, expansion, out in STAGES:
        for index in range(blocks):
            prefix, stride, start = f"_blocks.{number}.", first_stride if index == 0 else 1, x
            if expansion > 1:
                x = convolve(x, state, f"{prefix}_expand_conv", f"{prefix}_bn0").clamp(0, 6)
            x = convolve(x, state, f"{prefix}_depthwise_conv", f"{prefix}_bn1", stride, groups=x.shape[1]).clamp(0, 6)
            x = convolve(x, state, f"{prefix}_project_conv", f"{prefix}_bn2")
            if stride == 1 and start.shape[1] == out:
                x = x + start
            number += 1
    return convolve(x, state, "_conv_head", "_bn1").clamp(0, 6)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp("lite0") / "lite0.pth"
    torch.save(random_state(), path)
    return path


def test_features_equal_the_definition(checkpoint):
    pixels = torch.randint(0, 256, (2, IMAGE_SIZE, IMAGE_SIZE, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(5))
    features = load_efficientnet_lite0(checkpoint)(pixels)
    expected = reference(pixels, random_state()).flatten(2).transpose(1, 2)
    assert features.shape == (2, GRID_SIZE * GRID_SIZE, FEATURE_WIDTH)
    assert expected.std() > 0.1  # the random network is alive
    # float32 through 49 convolutions against float64
    torch.testing.assert_close(features.double(), expected, rtol=1e-3, atol=2e-4)


def test_frames_do_not_see_each_other(checkpoint):
    pixels = torch.randint(0, 256, (3, IMAGE_SIZE, IMAGE_SIZE, 3), dtype=torch.uint8)
    model = load_efficientnet_lite0(checkpoint)
    torch.testing.assert_close(model(pixels)[1:2], model(pixels[1:2]), rtol=1e-4, atol=1e-5)


def test_another_file_is_refused_in_words(tmp_path):
    (tmp_path / "text.pth").write_text("not a checkpoint")
    torch.save({"weight": torch.zeros(3)}, tmp_path / "other.pth")
    for name in ("text.pth", "other.pth", "absent.pth"):
        with pytest.raises(ExportError, match="fetch efficientnet-lite0"):
            load_efficientnet_lite0(tmp_path / name)


def test_code_in_a_checkpoint_is_not_run(tmp_path):
    class Hostile:
        def __reduce__(self):
            return (print, ("this must not run",))

    torch.save({"_conv_stem.weight": Hostile()}, tmp_path / "hostile.pth")
    with pytest.raises(ExportError):
        load_efficientnet_lite0(tmp_path / "hostile.pth")
