"""Temporal pooling, spatial pooling and motion energy in torch, for training and for the graphs.

The specification is `redvillm.kernels.reference`; this module follows it. Does not know the adapter.
"""

import onnx
import torch
from onnx import helper
from torch import Tensor, nn

_DOMAIN = "redvillm"
_OPERATOR = "SpatioTemporalPool"
_ATTRIBUTES = {"plugin_namespace": _DOMAIN, "plugin_version": "1"}
_FUNCTION_OPSET = 20


class SpatioTemporalPool(nn.Module):
    """X [T, N, D] -> temporal pooling [N, D], spatial pooling [T, D].

    In an exported graph it is one node `redvillm::SpatioTemporalPool`: a custom kernel or plugin where one is registered, else the function of
    `pooling_function`. The attributes are what TensorRT's parser looks for to find a plugin.
    """

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Both means in one operator."""
        if not torch.onnx.is_in_onnx_export():
            return features.mean(0), features.mean(1)
        num_frames, num_patches, width = features.shape
        temporal, spatial = torch.onnx.ops.symbolic_multi_out(
            f"{_DOMAIN}::{_OPERATOR}",
            (features,),
            attrs={**_ATTRIBUTES},
            dtypes=(features.dtype, features.dtype),
            shapes=((num_patches, width), (num_frames, width)),
            version=1,
        )
        return temporal, spatial


def pooling_function() -> onnx.FunctionProto:
    """Return the model-local function that computes `redvillm::SpatioTemporalPool` with standard operators."""
    return helper.make_function(
        _DOMAIN,
        _OPERATOR,
        inputs=["features"],
        outputs=["temporal_pooling", "spatial_pooling"],
        nodes=[
            helper.make_node("Constant", [], ["time"], value_ints=[0]),
            helper.make_node("Constant", [], ["space"], value_ints=[1]),
            helper.make_node("ReduceMean", ["features", "time"], ["temporal_pooling"], keepdims=0),
            helper.make_node("ReduceMean", ["features", "space"], ["spatial_pooling"], keepdims=0),
        ],
        opset_imports=[helper.make_opsetid("", _FUNCTION_OPSET)],
        attributes=list(_ATTRIBUTES),
    )


def pool_streams(features: Tensor, num_segments: int) -> tuple[Tensor, Tensor, Tensor]:
    """X [T, N, D] -> temporal pooling [N, D], spatial pooling [T, D], motion energy [num_segments, N]."""
    return features.mean(0), features.mean(1), motion_energy(features, num_segments)


def motion_energy(features: Tensor, num_segments: int) -> Tensor:
    """Mean squared change of each patch from frame to frame, averaged in `num_segments` equal parts of the window.

    X [T, N, D] -> [num_segments, N]; a part without a pair of frames is zero, as are all parts of a single frame. Every intermediate keeps T rows
    (the first is a frame's difference to itself), so that the graph holds for any T.
    """
    frame = torch.arange(features.shape[0], device=features.device)
    energy = (features - features[(frame - 1).clamp(min=0)]).square().mean(-1)
    num_pairs = (frame[-1:]).clamp(min=1)
    segment = torch.where(frame > 0, torch.div((frame - 1) * num_segments, num_pairs, rounding_mode="floor"), -1)
    member = (segment == torch.arange(num_segments, device=features.device)[:, None]).to(features.dtype)
    return (member / member.sum(-1, keepdim=True).clamp(min=1)) @ energy
