"""What the TensorRT plugin of `redvillm::SpatioTemporalPool` takes: numbers, types and sizes of its inputs.

Every refusal says what was wrong, what is legal, and the fix. Knows names of types and sizes; does not need TensorRT.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Literal

from redvillm.errors import OptionsError

NAMESPACE = "redvillm"
NAME = "SpatioTemporalPool"
VERSION = "1"
NUM_OUTPUTS = 2
Element = Literal["float32", "float16"]
ELEMENTS: Mapping[str, Element] = MappingProxyType({"FLOAT": "float32", "HALF": "float16"})  # TensorRT's names of types -> those of the kernels
_OPERATOR = f"{NAMESPACE}::{NAME}"

Sizes = Sequence[int | None]  # None stands for a size that is not known yet


def check_types(types: Sequence[str]) -> str:
    """Require the types of features and, if given, of weights; return the type of both outputs, which is that of the features.

    Raises:
        OptionsError: another number of inputs, or another type.
    """
    _check_number(len(types))
    if types[0] not in ELEMENTS:
        raise OptionsError(
            f"{_OPERATOR}: features have TensorRT's type {types[0]}, {' or '.join(ELEMENTS)} is wanted; export the graph in float32 or float16"
        )
    if len(types) == 2 and types[1] != "FLOAT":
        raise OptionsError(f"{_OPERATOR}: weights have TensorRT's type {types[1]}, FLOAT is wanted (in a float16 graph too); cast them in the graph")
    return types[0]


def check_sizes(inputs: Sequence[Sizes]) -> None:
    """Require features [T, N, D], every size at least 1 where it is known, and weights [T].

    Raises:
        OptionsError: another rank, an empty size, or another number of weights than of frames.
    """
    _check_number(len(inputs))
    features = inputs[0]
    if len(features) != 3:
        raise OptionsError(f"{_OPERATOR}: features have shape {_text(features)}, [T, N, D] is wanted; check what the graph feeds the node")
    if any(size is not None and size < 1 for size in features):
        raise OptionsError(f"{_OPERATOR}: features have shape {_text(features)}, every size must be at least 1; give at least one frame")
    if len(inputs) == 2:
        weights = inputs[1]
        if len(weights) != 1 or (None not in (weights[0], features[0]) and weights[0] != features[0]):
            raise OptionsError(f"{_OPERATOR}: weights have shape {_text(weights)}, [{_text(features)[1:-1].split(',')[0]}] is wanted, one per frame")


def takes_format(position: int, types: Sequence[str], num_inputs: int, *, linear: bool) -> bool:
    """Whether the tensor at `position` of inputs and outputs may have its type and format, given the types before it.

    Only the linear format (row-major, no padding) is taken. `types` holds the types up to and including `position`.
    """
    if not linear:
        return False
    if position == 0:
        return types[0] in ELEMENTS
    return types[position] == ("FLOAT" if position < num_inputs else types[0])


def _check_number(num_inputs: int) -> None:
    if num_inputs not in (1, 2):
        raise OptionsError(f"{_OPERATOR}: the node has {num_inputs} inputs; it takes features, and weights if frames are to count differently")


def _text(sizes: Sizes) -> str:
    return f"[{', '.join('?' if size is None else str(size) for size in sizes)}]"
