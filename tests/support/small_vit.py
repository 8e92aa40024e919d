"""A small vision transformer of random weights, with the pooling behind it: pixels uint8 [T, 56, 56, 3] -> both pooled streams."""

import torch
from torch import nn

from redvillm.export.pooling import SpatioTemporalPool

IMAGE_SIZE = 56
PATCH = 14
WIDTH = 384  # of a ViT-S
NUM_LAYERS = 4
NUM_PATCHES = (IMAGE_SIZE // PATCH) ** 2


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm_1, self.norm_2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.up, self.down = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x):
        heads = [part.unflatten(-1, (6, 64)).transpose(1, 2) for part in self.qkv(self.norm_1(x)).chunk(3, -1)]
        attention = torch.softmax(heads[0] @ heads[1].transpose(-1, -2) / 8.0, -1) @ heads[2]
        x = x + self.out(attention.transpose(1, 2).flatten(2))
        return x + self.down(nn.functional.gelu(self.up(self.norm_2(x))))


class PooledViT(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.patches = nn.Conv2d(3, WIDTH, PATCH, PATCH)
        self.positions = nn.Parameter(0.02 * torch.randn(NUM_PATCHES, WIDTH))
        self.blocks = nn.Sequential(*(Block() for _ in range(NUM_LAYERS)))
        self.pool = SpatioTemporalPool()

    def forward(self, pixels):
        x = (pixels.to(self.positions.dtype).permute(0, 3, 1, 2) - 127) / 128
        return self.pool(self.blocks(self.patches(x).flatten(2).transpose(1, 2) + self.positions))
