"""A tiny vision encoder in torch. Imported by tests that have torch."""

import torch
from torch import Tensor, nn


class TinyEncoder(nn.Module):
    """pixels uint8 [T, 8, 8, 3] -> [T, 4, 6]."""

    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(3, 6, 4, 4)

    def forward(self, pixels: Tensor) -> Tensor:
        x = pixels.to(self.convolution.weight.dtype).permute(0, 3, 1, 2) / 255
        return torch.relu(self.convolution(x)).flatten(2).transpose(1, 2)
