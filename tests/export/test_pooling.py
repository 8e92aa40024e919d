"""Torch pooling against the numpy specification, and the node in a graph: by its function body and by the custom op."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper
from ort_op import open_with_op, require_library
from pooling_graph import ELEMENTS, IR_VERSION, OPSET, pooling_graph
from torch import nn

from redvillm.export.pooling import SpatioTemporalPool, motion_energy, pool_streams, pooling_function, pooling_opset
from redvillm.export.torch_graph import GraphPlan, export_graph
from redvillm.kernels import reference
from redvillm.kernels.ort_library import ort_library_calls

DTYPES = {"float32": torch.float32, "float16": torch.float16}
SHAPES = [(1, 1, 1), (2, 3, 5), (5, 7, 13), (17, 9, 31)]


class Pool(nn.Module):
    """The pooling between two other operators, as in a real graph."""

    def __init__(self):
        super().__init__()
        self.pool = SpatioTemporalPool()

    def forward(self, features, weights=None):
        temporal, spatial = self.pool(features * 2, weights)
        return temporal * 0.5, spatial * 0.5


def export_pool(path, dtype, weighted, *, with_function=True):
    inputs = {"features": torch.rand(4, 6, 10, dtype=DTYPES[dtype])} | ({"weights": torch.rand(4)} if weighted else {})
    sizes = {"features": {0: "num_frames", 1: "num_patches", 2: "width"}} | ({"weights": {0: "num_weights"}} if weighted else {})
    functions = [pooling_function(weighted=weighted)] if with_function else []
    export_graph(GraphPlan(Pool(), inputs, ["temporal_pooling", "spatial_pooling"], sizes), path, functions=functions, opsets=[pooling_opset()])
    return path.read_bytes()


def open_without_op(graph):
    return onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])


@pytest.fixture(scope="module", params=[(dtype, weighted) for dtype in DTYPES for weighted in (False, True)], ids=str)
def exported(request, tmp_path_factory):
    return (*request.param, export_pool(tmp_path_factory.mktemp("pool") / "pool.onnx", *request.param))


def random_feeds(shape, dtype, weighted):
    random = np.random.default_rng(sum(shape))
    feeds = {"features": random.normal(0.2, 1, shape).astype(dtype)}
    return feeds | ({"weights": random.uniform(0.1, 2, shape[0]).astype(np.float32)} if weighted else {})


def pool_in_float64(features, weights=None):
    shares = np.ones(len(features)) if weights is None else weights.astype(np.float64)
    wide = features.astype(np.float64)
    return np.einsum("t,tnd->nd", shares / shares.sum(), wide), wide.mean(1)


@pytest.mark.parametrize("shape", SHAPES)
def test_function_body_and_custom_op_compute_the_same_means(exported, shape):
    dtype, weighted, graph = exported
    feeds = random_feeds(shape, dtype, weighted)
    by_function = open_without_op(graph).run(None, feeds)
    for result, expected in zip(by_function, pool_in_float64(**feeds), strict=True):
        assert (result.dtype, result.shape) == (dtype, expected.shape)
        # float32 sums of few small numbers; a float16 result is rounded by half of its last place
        np.testing.assert_allclose(result, expected, rtol=2**-11 if dtype == "float16" else 0, atol=2e-6)
    require_library()
    before = ort_library_calls()
    by_kernel = open_with_op(graph).run(None, feeds)
    assert ort_library_calls() == before + 1
    for result, other in zip(by_kernel, by_function, strict=True):
        # two ways to add in float32: a float16 result may fall to the other side of a tie
        np.testing.assert_allclose(result, other, rtol=2**-10 if dtype == "float16" else 0, atol=2e-6)


@pytest.mark.parametrize("weighted", [False, True])
def test_torch_pools_as_the_specification(weighted):
    feeds = random_feeds((5, 7, 13), "float32", weighted)
    results = SpatioTemporalPool()(*(torch.from_numpy(value) for value in feeds.values()))
    for result, expected in zip(results, pool_in_float64(**feeds), strict=True):
        np.testing.assert_allclose(result.numpy(), expected, atol=2e-6)


def test_the_function_accumulates_in_float32(exported):
    dtype, weighted, graph = exported
    x = np.full((40, 30, 5), 30000, dtype)  # doubled by the graph, the sum of two is beyond float16
    weights = {"weights": np.full(40, 60000, np.float32)} if weighted else {}
    for result in open_without_op(graph).run(None, {"features": x} | weights):
        np.testing.assert_allclose(result, 30000, rtol=1e-6)
    (function,) = onnx.load_from_string(graph).functions
    sums = [node for node in function.node if node.op_type.startswith("Reduce") and node.input[0] != "weights"]
    assert [node.op_type for node in sums] == (["ReduceSum", "ReduceMean"] if weighted else ["ReduceMean", "ReduceMean"])
    (cast,) = [node for node in function.node if node.op_type == "Cast"]
    assert [attribute.i for attribute in cast.attribute] == [TensorProto.FLOAT]


def test_the_casts_of_a_float32_graph_are_gone_when_it_runs(tmp_path):
    graph = export_pool(tmp_path / "pool.onnx", "float32", False)
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    assert sorted(node.op_type for node in onnx.load(tmp_path / "optimized.onnx").graph.node) == ["Mul", "Mul", "Mul", "ReduceMean", "ReduceMean"]


def test_the_node_carries_its_weights_and_its_attributes(exported):
    _, weighted, graph = exported
    model = onnx.load_from_string(graph)
    (node,) = [node for node in model.graph.node if node.domain == "redvillm"]
    assert len(node.input) == 1 + weighted
    assert {attribute.name: attribute.s for attribute in node.attribute} == {"plugin_namespace": b"redvillm", "plugin_version": b"1"}
    assert [(opset.domain, opset.version) for opset in model.opset_import if opset.domain] == [("redvillm", 1)]


def test_the_same_module_gives_the_same_bytes(exported, tmp_path):
    dtype, weighted, graph = exported
    assert export_pool(tmp_path / "again.onnx", dtype, weighted) == graph


def test_a_graph_without_the_function_needs_the_op(tmp_path):
    graph = export_pool(tmp_path / "pool.onnx", "float16", False, with_function=False)
    assert not onnx.load_from_string(graph).functions
    with pytest.raises(Exception, match="SpatioTemporalPool"):
        open_without_op(graph)
    feeds = random_feeds((5, 7, 13), "float16", False)
    np.testing.assert_allclose(open_with_op(graph).run(None, feeds)[0], pool_in_float64(**feeds)[0], rtol=2**-11, atol=2e-6)


def test_two_clips_in_one_graph_keep_their_own_sizes():
    """Sizes without a name: ONNX Runtime must not take them for equal, nor share a buffer."""
    model = onnx.load_from_string(pooling_graph(shape=None))
    (first,) = model.graph.node
    second = model.graph.node.add()
    second.CopyFrom(first)
    second.input[:], second.output[:] = ["other"], ["other_temporal", "other_spatial"]
    model.graph.input.append(helper.make_tensor_value_info("other", TensorProto.FLOAT, None))
    model.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in second.output)
    clips = [random_feeds(shape, "float32", False)["features"] for shape in ((5, 7, 13), (2, 9, 31))]
    results = open_with_op(model.SerializeToString()).run(None, dict(zip(("features", "other"), clips, strict=True)))
    expected = [mean for clip in clips for mean in pool_in_float64(clip)]
    for result, mean in zip(results, expected, strict=True):
        np.testing.assert_allclose(result, mean, atol=2e-6)


@pytest.mark.parametrize("shape", [("T", "N", "D"), (300, "N", 5), None])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", ELEMENTS)
def test_the_graph_of_the_tests_is_what_onnx_writes(dtype, weighted, shape):
    element = ELEMENTS[dtype]
    assert helper.tensor_dtype_to_string(element) == f"TensorProto.{ {'float32': 'FLOAT', 'float64': 'DOUBLE'}.get(dtype, dtype.upper()) }"
    names = ["features", "weights"] if weighted else ["features"]
    outputs = ["temporal_pooling", "spatial_pooling"]
    node = helper.make_node("SpatioTemporalPool", names, outputs, domain="redvillm", plugin_namespace="redvillm", plugin_version="1")
    inputs = [helper.make_tensor_value_info("features", element, shape), helper.make_tensor_value_info("weights", TensorProto.FLOAT, ["K"])]
    values = [helper.make_tensor_value_info(name, element, None) for name in outputs]
    graph = helper.make_graph([node], "pooling", inputs[: len(names)], values)
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("redvillm", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
    assert onnx.load_from_string(pooling_graph(dtype, weighted=weighted, shape=shape)) == model


@pytest.mark.parametrize("num_frames", [1, 2, 3, 5, 7, 16])
@pytest.mark.parametrize(("num_patches", "width", "num_segments"), [(1, 1, 1), (7, 13, 4), (49, 19, 4), (4, 5, 7)])
def test_streams_equal_the_specification(num_frames, num_patches, width, num_segments):
    x = np.random.default_rng(num_frames).normal(size=(num_frames, num_patches, width)).astype(np.float32)
    temporal, spatial, energy = (stream.numpy() for stream in pool_streams(torch.from_numpy(x), num_segments))
    expected_temporal, expected_spatial = reference.spatio_temporal_pool(x)
    expected_energy = reference.motion_energy(reference.frame_energy(x), num_segments)
    # float32 sums in another order
    np.testing.assert_allclose(temporal, expected_temporal, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(spatial, expected_spatial, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(energy, expected_energy, rtol=1e-5, atol=1e-6)


def test_a_still_window_has_no_motion():
    x = torch.rand(1, 9, 5).repeat(6, 1, 1)
    assert motion_energy(x, 4).abs().max() == 0


def test_motion_is_seen_where_and_when_it_happens():
    x = torch.zeros(5, 3, 2)
    x[3:, 1] = 1.0  # patch 1 changes between frames 2 and 3, the third of four pairs
    energy = motion_energy(x, 4)
    assert energy[2, 1] == 1
    energy[2, 1] = 0
    assert energy.abs().max() == 0
