"""The modules of a graph in float16, for engines that compute in it: TensorRT's networks are strongly typed, so the graph has to say so.

    export_video(in_float16(encoder), in_float16(adapter), fit, path)
    export_align(Float16(adapter), path)

Pixels stay uint8 and are exact in float16 after normalisation; whatever else crosses a border of a graph is float32.
Knows torch modules; does not know what they compute.
"""

import copy
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from redvillm.errors import ExportError

Module = TypeVar("Module", bound=nn.Module)


class Float16(nn.Module):
    """A module computed in float16 between float32 inputs (or bytes) and float32 outputs; `sizes` are those of an adapter."""

    def __init__(self, module: nn.Module) -> None:
        """Raises ExportError as `in_float16` does."""
        super().__init__()
        self.module = in_float16(module)
        self.sizes: Any = getattr(module, "sizes", None)

    def forward(self, first: Tensor, second: Tensor | None = None, third: Tensor | None = None) -> Tensor:
        """Cast, compute, cast; torch cannot export a module that takes any number of inputs."""
        given = [x for x in (first, second, third) if x is not None]
        result: Tensor = self.module(*(x.half() if x.is_floating_point() else x for x in given))
        return result.float()


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
