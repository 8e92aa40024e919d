"""A checkpoint of EfficientNet-Lite0 with random weights, by the names of the published one. Imported by tests that have torch."""

import math

import torch

# (blocks, kernel, stride, expansion, width) of each stage, from the published table of EfficientNet-B0
STAGES = ((1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112), (4, 5, 2, 6, 192), (1, 3, 1, 6, 320))


def norm_state(name, width, generator):
    return {
        f"{name}.weight": torch.rand(width, generator=generator) + 0.5,
        f"{name}.bias": torch.randn(width, generator=generator) * 0.1,
        f"{name}.running_mean": torch.randn(width, generator=generator) * 0.1,
        f"{name}.running_var": torch.rand(width, generator=generator) + 0.5,
        f"{name}.num_batches_tracked": torch.tensor(1),
    }


def kernel(width_out, width_in, size, generator):
    return torch.randn(width_out, width_in, size, size, generator=generator) * math.sqrt(1.5 / (width_in * size * size))


def random_state():
    generator = torch.Generator().manual_seed(3)
    state = {"_conv_stem.weight": kernel(32, 3, 3, generator), **norm_state("_bn0", 32, generator)}
    width, number = 32, 0
    for blocks, size, _, expansion, out in STAGES:
        for _ in range(blocks):
            prefix, hidden = f"_blocks.{number}.", width * expansion
            if expansion > 1:
                state |= {f"{prefix}_expand_conv.weight": kernel(hidden, width, 1, generator), **norm_state(f"{prefix}_bn0", hidden, generator)}
            state |= {f"{prefix}_depthwise_conv.weight": kernel(hidden, 1, size, generator), **norm_state(f"{prefix}_bn1", hidden, generator)}
            state |= {f"{prefix}_project_conv.weight": kernel(out, hidden, 1, generator), **norm_state(f"{prefix}_bn2", out, generator)}
            width, number = out, number + 1
    return state | {
        "_conv_head.weight": kernel(1280, 320, 1, generator),
        **norm_state("_bn1", 1280, generator),
        "_fc.weight": torch.zeros(1000, 1280),
    }
