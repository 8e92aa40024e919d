"""The modules of a graph in float16, for engines that compute in it: TensorRT's networks are strongly typed, so the graph has to say so.

    export_video(in_float16(encoder), in_float16(adapter), fit, path)

Pixels stay uint8 and are exact in float16 after normalisation; visual tokens leave as float32. Knows torch modules; does not know what they compute.
"""

import copy
from typing import TypeVar

import torch
from torch import nn

from redvillm.errors import ExportError

Module = TypeVar("Module", bound=nn.Module)


def in_float16(module: Module) -> Module:
    """Return a copy of the module with float16 weights.

    Raises:
        ExportError: a weight is too large for float16.
    """
    half = copy.deepcopy(module).half()
    for (name, given), rounded in zip(module.named_parameters(), half.parameters(), strict=True):
        if not torch.isfinite(rounded).all() and torch.isfinite(given).all():
            raise ExportError(f"weight {name} holds values of {given.abs().max().item():.3g}, float16 ends at 65504; export this module in float32")
    return half
