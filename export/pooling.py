"""Temporal pooling, spatial pooling and motion energy in torch, for training and for the graphs.

The specification is `redvillm.kernels.reference`; this module follows it. Does not know the adapter.
"""

import onnx
import torch
from onnx import helper
from torch import Tensor, nn

_DOMAIN = "redvillm"
_OPERATOR = "SpatioTemporalPool"
_VERSION = 1
_ATTRIBUTES = {"plugin_namespace": _DOMAIN, "plugin_version": "1"}
_FUNCTION_OPSET = 20


class SpatioTemporalPool(nn.Module):
    """X [T, N, D], perhaps with weights [T] -> temporal pooling [N, D], spatial pooling [T, D].

    In an exported graph it is one node `redvillm::SpatioTemporalPool`: a custom kernel or plugin where one is registered, else the function of
    `pooling_function`. The attributes are what TensorRT's parser looks for to find a plugin.
    """

    def forward(self, features: Tensor, weights: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Both means in one operator; `weights` (float32, >= 0, sum > 0) act on the temporal pooling only."""
        if not torch.onnx.is_in_onnx_export():
            return _temporal_pooling(features, weights), features.mean(1)
        num_frames, num_patches, width = features.shape
        temporal, spatial = torch.onnx.ops.symbolic_multi_out(
            f"{_DOMAIN}::{_OPERATOR}",
            (features,) if weights is None else (features, weights),
            attrs={**_ATTRIBUTES},
            dtypes=(features.dtype, features.dtype),
            shapes=((num_patches, width), (num_frames, width)),
            version=_VERSION,
        )
        return temporal, spatial


def pooling_opset() -> onnx.OperatorSetIdProto:
    """Return the domain and version of `redvillm::SpatioTemporalPool`, which a graph with such a node imports."""
    return helper.make_opsetid(_DOMAIN, _VERSION)


def pooling_function(*, weighted: bool = False) -> onnx.FunctionProto:
    """Return the model-local function that computes `redvillm::SpatioTemporalPool` with standard operators.

    It accumulates in float32 and returns the dtype of the features, as the kernels do; for float32 features the casts are removed when the graph
    is loaded. A model holds one function of a name: with `weighted`, all of its nodes must have weights; without, none. Weights are not checked here.
    """
    constants = {"time": [0], "space": [1], "inner": [1, 2]} if weighted else {"time": [0], "space": [1]}
    return helper.make_function(
        _DOMAIN,
        _OPERATOR,
        inputs=["features", "weights"] if weighted else ["features"],
        outputs=["temporal_pooling", "spatial_pooling"],
        nodes=[
            *(helper.make_node("Constant", [], [name], value_ints=axes) for name, axes in constants.items()),
            helper.make_node("Cast", ["features"], ["wide"], to=onnx.TensorProto.FLOAT),
            *(_weighted_mean() if weighted else [helper.make_node("ReduceMean", ["wide", "time"], ["wide_temporal"], keepdims=0)]),
            helper.make_node("ReduceMean", ["wide", "space"], ["wide_spatial"], keepdims=0),
            helper.make_node("CastLike", ["wide_temporal", "features"], ["temporal_pooling"]),
            helper.make_node("CastLike", ["wide_spatial", "features"], ["spatial_pooling"]),
        ],
        opset_imports=[helper.make_opsetid("", _FUNCTION_OPSET)],
        attributes=list(_ATTRIBUTES),
    )


def _weighted_mean() -> list[onnx.NodeProto]:
    return [
        helper.make_node("ReduceSum", ["weights", "time"], ["sum"], keepdims=1),
        helper.make_node("Div", ["weights", "sum"], ["shares"]),
        helper.make_node("Unsqueeze", ["shares", "inner"], ["frame_shares"]),
        helper.make_node("Mul", ["wide", "frame_shares"], ["weighted"]),
        helper.make_node("ReduceSum", ["weighted", "time"], ["wide_temporal"], keepdims=0),
    ]


def _temporal_pooling(features: Tensor, weights: Tensor | None) -> Tensor:
    if weights is None:
        return features.mean(0)
    shares = (weights / weights.sum())[:, None, None]
    return (features * shares).sum(0, dtype=torch.float32).to(features.dtype)


def pool_streams(features: Tensor, num_segments: int) -> tuple[Tensor, Tensor, Tensor]:
    """X [T, N, D] -> temporal pooling [N, D], spatial pooling [T, D], motion energy [num_segments, N]."""
    return features.mean(0), features.mean(1), motion_energy(features, num_segments)


def motion_energy(features: Tensor, num_segments: int) -> Tensor:
    """Mean squared change of each patch from frame to frame, averaged in `num_segments` equal parts of the window.

    X [T, N, D] -> [num_segments, N]; a part without a pair of frames is zero, as are all parts of a single frame. Every intermediate keeps T rows
    (the first is a frame's difference to itself), so that the graph holds for any T.
    """
    frame = torch.arange(features.shape[0], device=features.device)
    # squares are taken in float32: float16 holds none of values above 255
    energy = (features - features[(frame - 1).clamp(min=0)]).float().square().mean(-1).to(features.dtype)
    num_pairs = (frame[-1:]).clamp(min=1)
    segment = torch.where(frame > 0, torch.div((frame - 1) * num_segments, num_pairs, rounding_mode="floor"), -1)
    member = (segment == torch.arange(num_segments, device=features.device)[:, None]).to(features.dtype)
    return (member / member.sum(-1, keepdim=True).clamp(min=1)) @ energy
