"""EfficientNet-Lite0 as a vision encoder: pixels -> patch features X.

Architecture: github.com/tensorflow/tpu, models/official/efficientnet/lite (no squeeze-and-excitation, ReLU6, stem and head of fixed width),
with TensorFlow's "same" padding. Batch normalisation is folded into the convolutions while loading. Knows nothing of frames over time or of any LLM.
"""

from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from redvillm.errors import ExportError

IMAGE_SIZE = 224
GRID_SIZE = 7
FEATURE_WIDTH = 1280
_PIXEL_MEAN = 127.0
_PIXEL_SCALE = 1 / 128.0
_BATCH_NORM_EPSILON = 1e-3


class _Stage(NamedTuple):
    num_blocks: int
    kernel: int
    stride: int
    expansion: int
    width: int


_STAGES = (
    _Stage(1, 3, 1, 1, 16),
    _Stage(2, 3, 2, 6, 24),
    _Stage(2, 5, 2, 6, 40),
    _Stage(3, 3, 2, 6, 80),
    _Stage(3, 5, 1, 6, 112),
    _Stage(4, 5, 2, 6, 192),
    _Stage(1, 3, 1, 6, 320),
)
_STEM_WIDTH = 32


class _Convolution(nn.Conv2d):
    """Convolution with TensorFlow's "same" padding for even input sizes: at stride 2 the odd row and column go to the end."""

    def __init__(self, width_in: int, width_out: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> None:
        excess = kernel - stride
        padding = (excess // 2, excess - excess // 2)
        symmetric = padding[0] == padding[1]
        super().__init__(width_in, width_out, kernel, stride, padding=padding[0] if symmetric else 0, groups=groups)
        self._explicit_padding = None if symmetric else (*padding, *padding)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x if self._explicit_padding is None else functional.pad(x, self._explicit_padding))


class _Block(nn.Module):
    """Inverted residual block: expand, depthwise, project."""

    def __init__(self, width_in: int, stage: _Stage, stride: int) -> None:
        super().__init__()
        hidden = width_in * stage.expansion
        self.expand = _Convolution(width_in, hidden) if stage.expansion > 1 else None
        self.depthwise = _Convolution(hidden, hidden, stage.kernel, stride, groups=hidden)
        self.project = _Convolution(hidden, stage.width)
        self._residual = stride == 1 and width_in == stage.width

    def forward(self, x: Tensor) -> Tensor:
        hidden = x if self.expand is None else functional.relu6(self.expand(x))
        out = self.project(functional.relu6(self.depthwise(hidden)))
        result: Tensor = x + out if self._residual else out
        return result


class EfficientNetLite0(nn.Module):
    """pixels uint8 [T, 224, 224, 3] RGB -> X float32 [T, 49, 1280], in row order of the 7 x 7 grid."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = _Convolution(3, _STEM_WIDTH, 3, 2)
        blocks: list[_Block] = []
        width = _STEM_WIDTH
        for stage in _STAGES:
            for index in range(stage.num_blocks):
                blocks.append(_Block(width, stage, stage.stride if index == 0 else 1))
                width = stage.width
        self.blocks = nn.ModuleList(blocks)
        self.head = _Convolution(width, FEATURE_WIDTH)

    def forward(self, pixels: Tensor) -> Tensor:
        """Normalise as (pixel - 127) / 128, exact in float16 too, and encode each frame by itself, in the precision of the weights."""
        # first the cast: TensorRT moves no uint8 but to cast it
        x = (pixels.to(self.stem.weight.dtype).permute(0, 3, 1, 2) - _PIXEL_MEAN) * _PIXEL_SCALE
        x = functional.relu6(self.stem(x))
        for block in self.blocks:
            x = block(x)
        return functional.relu6(self.head(x)).flatten(2).transpose(1, 2)


def load_efficientnet_lite0(checkpoint: Path) -> EfficientNetLite0:
    """Read the ImageNet checkpoint of the zoo (a state dict of tensors), fold its batch normalisation, drop its classifier.

    Raises:
        ExportError: the file is not that checkpoint.
    """
    try:
        state = torch.load(checkpoint, map_location="cpu", weights_only=True)
        model = EfficientNetLite0()
        _fold(model.stem, state, "_conv_stem", "_bn0")
        for index, block in enumerate(model.blocks):
            assert isinstance(block, _Block)
            prefix = f"_blocks.{index}."
            if block.expand is not None:
                _fold(block.expand, state, f"{prefix}_expand_conv", f"{prefix}_bn0")
            _fold(block.depthwise, state, f"{prefix}_depthwise_conv", f"{prefix}_bn1")
            _fold(block.project, state, f"{prefix}_project_conv", f"{prefix}_bn2")
        _fold(model.head, state, "_conv_head", "_bn1")
    except Exception as error:  # torch raises many kinds for a file of another form
        raise ExportError(f"{checkpoint} is not an EfficientNet-Lite0 checkpoint ({error}); run 'redvillm fetch efficientnet-lite0'") from error
    return model.eval().requires_grad_(False)


def _fold(convolution: nn.Conv2d, state: dict[str, Tensor], weight: str, norm: str) -> None:
    gain = state[f"{norm}.weight"].double() / torch.sqrt(state[f"{norm}.running_var"].double() + _BATCH_NORM_EPSILON)
    kernel = state[f"{weight}.weight"].double() * gain[:, None, None, None]
    if kernel.shape != convolution.weight.shape:
        raise ValueError(f"{weight} has shape {tuple(kernel.shape)}, {tuple(convolution.weight.shape)} is wanted")
    bias = state[f"{norm}.bias"].double() - state[f"{norm}.running_mean"].double() * gain
    with torch.no_grad():
        convolution.weight.copy_(kernel)
        assert convolution.bias is not None
        convolution.bias.copy_(bias)
