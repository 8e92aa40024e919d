"""What a session on ONNX Runtime's CUDA provider needs beside one on the CPU: libraries, options, and proof that the GPU does the work.

A provider that is listed may not start, and one that started may leave single nodes to the CPU, with copies before and after each; both are refused.
Options: https://onnxruntime.ai/docs/execution-providers/CUDA-ExecutionProvider.html. Knows onnxruntime's sessions; does not know what a graph
computes. *Not yet run on a device.*
"""

import contextlib
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from redvillm.errors import BackendError

CUDA_PROVIDER = "CUDAExecutionProvider"
CUDA_OPTIONS = (
    ("device_id", "0"),
    ("arena_extend_strategy", "kSameAsRequested"),  # else memory grows by powers of two, which a board does not have
    ("cudnn_conv_algo_search", "HEURISTIC"),  # the default searches anew for every number of frames
    ("use_tf32", "0"),  # float32 products stay what the parity gate of the export has seen
)
_RECORD = "session.record_ep_graph_assignment_info"
_NO_FALLBACK = "session.disable_cpu_ep_fallback"
_TELLS_PLACES = (1, 24)  # the first onnxruntime that tells which node went where
# ONNX Runtime computes shapes on the CPU on purpose (GetCpuPreferredNodes): a few integers, which a GPU would only delay. Of all of these the CUDA
# provider has kernels for floats, so that tensors of the model cannot be among what it leaves.
# fmt: off
_SHAPE_OPERATORS = frozenset((
    "Abs", "Add", "Cast", "Ceil", "Concat", "Constant", "ConstantOfShape", "Div", "Equal", "Expand", "Flatten", "Floor", "Gather", "Greater",
    "GreaterOrEqual", "Identity", "Less", "LessOrEqual", "Max", "Min", "Mod", "Mul", "Neg", "Not", "Range", "ReduceMax", "ReduceMin", "ReduceProd",
    "ReduceSum", "Reshape", "Shape", "Size", "Slice", "Split", "Squeeze", "Sub", "Tile", "Transpose", "Unsqueeze", "Where",
))
# fmt: on


def prepare_cuda(runtime: ModuleType, options: Any) -> None:
    """Load the CUDA libraries that pip installed, and let the session of `options` tell, or refuse, what is left to the CPU."""
    if hasattr(runtime, "preload_dlls"):
        with contextlib.redirect_stdout(sys.stderr):  # it prints what it misses; standard output belongs to answers
            runtime.preload_dlls()
    options.add_session_config_entry(*((_RECORD, "1") if _tells_places(runtime) else (_NO_FALLBACK, "1")))


def check_places(runtime: ModuleType, session: Any, path: Path) -> None:
    """Require that the GPU computes all but shapes.

    An onnxruntime before 1.24 cannot tell; `prepare_cuda` made it refuse any node on the CPU, those that compute shapes too.

    Raises:
        BackendError: nodes were left to the CPU; the message names their operators.
    """
    if not _tells_places(runtime):
        return
    parts = (part for part in session.get_provider_graph_assignment_info() if part.ep_name != CUDA_PROVIDER)
    left = [f"{node.domain}::{node.op_type}".removeprefix("::") for part in parts for node in part.get_nodes()]
    if foreign := sorted(set(left) - _SHAPE_OPERATORS):
        raise BackendError(
            f"{path.name} was to run on {CUDA_PROVIDER}, which has no kernel for {', '.join(foreign)} of it; update onnxruntime-gpu, or export the "
            "bundle again with --target cuda"
        )


def creation_error(error: Exception, path: Path) -> BackendError | None:
    """Return what a failed creation of a session means where the graph is not to blame, None otherwise."""
    text = " ".join(str(error).split())[:300]
    if "fallback to CPU EP has been explicitly disabled" in text:
        return BackendError(
            f"{path.name} was to run on {CUDA_PROVIDER}, which leaves nodes of it to the CPU; an onnxruntime-gpu before 1.24 cannot tell whether "
            "these only compute shapes: install 1.24 or newer"
        )
    if re.search(r"cuda|cudnn|cublas|cufft|nvrtc|execution provider", text.replace(str(path), ""), re.IGNORECASE):
        return BackendError(f"{CUDA_PROVIDER} cannot run {path.name} here ({text}); 'redvillm doctor' says what is missing")
    return None


def _tells_places(runtime: ModuleType) -> bool:
    numbers = re.match(r"(\d+)\.(\d+)", getattr(runtime, "__version__", ""))
    return numbers is not None and (int(numbers[1]), int(numbers[2])) >= _TELLS_PLACES
