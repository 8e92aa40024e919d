"""The decoder of a bundle for the targets `cuda` and `tensorrt`, as ONNX Runtime leaves it for a provider without redvillm's kernels.

There is no GPU here: what the CUDA provider has kernels for is from onnxruntime's documentation, docs/OperatorKernels.md of version 1.24 and newer.
"""

import onnx
import pytest
import tiny_llama
from onnx import TensorProto

onnxruntime = pytest.importorskip("onnxruntime")

# fmt: off
CUDA_FLOAT = {
    "Add", "Cast", "Div", "Gather", "Gemm", "Identity", "Mul", "Pow", "ReduceMean", "ReduceSum", "Reshape", "Split", "Sqrt", "Squeeze", "Unsqueeze",
    "com.microsoft::MatMulNBits", "com.microsoft::QuickGelu",
}
# fmt: on
CUDA_HALF_ONLY = {"com.microsoft::GroupQueryAttention"}  # float16 and bfloat16


@pytest.fixture(scope="module")
def left(tmp_path_factory):
    """The graph after the functions were put in and what depends on constants alone was computed."""
    folder = tmp_path_factory.mktemp("decoder")
    tiny_llama.export_language(tiny_llama.write_gguf(folder / "m.gguf"), folder)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC  # what comes after it depends on the provider
    options.optimized_model_filepath = str(folder / "left.onnx")
    onnxruntime.InferenceSession(folder / "decoder.onnx", options, providers=["CPUExecutionProvider"])
    return onnx.load(folder / "left.onnx").graph


def operator_of(node):
    return f"{node.domain}::{node.op_type}".removeprefix("::")


def test_the_cuda_provider_has_kernels_for_all_of_it(left):
    operators = {operator_of(node) for node in left.node}
    assert "com.microsoft::MatMulNBits" in operators
    assert operators >= CUDA_HALF_ONLY
    assert operators <= CUDA_FLOAT | CUDA_HALF_ONLY


def test_attention_is_in_float16(left):
    types = {constant.name: constant.data_type for constant in left.initializer}
    types |= {value.name: value.type.tensor_type.elem_type for value in left.input}
    for node in left.node:
        if node.op_type == "Cast":
            types[node.output[0]] = next(attribute.i for attribute in node.attribute if attribute.name == "to")
    for node in left.node:
        if operator_of(node) in CUDA_HALF_ONLY:
            query, past_key, past_value, cosines, sines = (types[node.input[place]] for place in (0, 3, 4, 7, 8))
            assert {query, past_key, past_value, cosines, sines} == {TensorProto.FLOAT16}


def test_weights_stay_in_codes(left):
    """Two codes in a byte, of every matrix: nothing was turned to floats while constants were folded."""
    types = {constant.name: constant.data_type for constant in left.initializer}
    linear = [node for node in left.node if node.op_type == "MatMulNBits"]
    assert {types[node.input[1]] for node in linear} == {TensorProto.UINT8}
