"""A whole bundle with random weights: real graphs, tiny sizes. Imported by tests that have onnx and gguf."""

import dataclasses
from pathlib import Path

import numpy as np
import onnx
import tiny_llama
from onnx import TensorProto, helper, numpy_helper

from redvillm.manifest import FitSpec, Graphs, GraphSpec, Tensors, TensorSpec, describe_files

NUM_FRAMES, NUM_PATCHES, WIDTH, NUM_MOTION, IMAGE_SIZE = 4, 4, 8, 2, 16
LLM_WIDTH = tiny_llama.WIDTH


def random_weights() -> dict[str, np.ndarray]:
    """Weights of the vision encoder and the alignment, by name."""
    random = np.random.default_rng(5)
    shapes = {
        "encoder": (IMAGE_SIZE * IMAGE_SIZE * 3 // NUM_PATCHES, WIDTH),
        "spatial": (WIDTH, LLM_WIDTH),
        "temporal": (WIDTH, LLM_WIDTH),
        "motion": (NUM_PATCHES, LLM_WIDTH),
    }
    return {name: (random.standard_normal(shape) / np.sqrt(shape[0])).astype(np.float32) for name, shape in shapes.items()}


def write_bundle(folder: Path) -> Path:
    """Write the bundle and return its folder."""
    folder.mkdir(parents=True)
    gguf_path = tiny_llama.write_gguf(folder.parent / f"{folder.name}.gguf")
    decoder = tiny_llama.export_language(gguf_path, folder)
    weights = random_weights()
    graphs = {Graphs.DECODER: decoder.graph, Graphs.VISION: _write_vision(folder, weights), Graphs.ALIGN: _write_align(folder, weights)}
    manifest = tiny_llama.make_manifest()
    sizes = dataclasses.replace(
        manifest.dimensions,
        num_frames=NUM_FRAMES,
        num_patches=NUM_PATCHES,
        vision_width=WIDTH,
        num_motion_tokens=NUM_MOTION,
    )
    streams = ("spatial", "temporal", "motion")
    dataclasses.replace(
        manifest, dimensions=sizes, frames=FitSpec.square(IMAGE_SIZE), streams=streams, graphs=graphs, files=describe_files(folder)
    ).write(folder)
    return folder


def _write_vision(folder: Path, weights: dict[str, np.ndarray]) -> GraphSpec:
    nodes = [
        helper.make_node("Cast", [Tensors.PIXELS], ["real"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["real", "white"], ["scaled"]),
        helper.make_node("Reshape", ["scaled", "patches"], ["rows"]),
        helper.make_node("MatMul", ["rows", "encoder"], [Tensors.FEATURES]),
    ]
    constants = {
        "white": np.array(255, np.float32),
        "patches": np.array([-1, NUM_PATCHES, len(weights["encoder"])], np.int64),
        "encoder": weights["encoder"],
    }
    spec = GraphSpec(
        inputs=(TensorSpec(name=Tensors.PIXELS, dtype="uint8", shape=("num_frames", IMAGE_SIZE, IMAGE_SIZE, 3)),),
        outputs=(TensorSpec(name=Tensors.FEATURES, dtype="float32", shape=("num_frames", NUM_PATCHES, WIDTH)),),
    )
    return _write(folder / Graphs.VISION, nodes, constants, spec)


def _write_align(folder: Path, weights: dict[str, np.ndarray]) -> GraphSpec:
    streams = {"spatial": Tensors.TEMPORAL_POOLING, "temporal": Tensors.SPATIAL_POOLING, "motion": Tensors.MOTION_ENERGY}
    nodes = [helper.make_node("MatMul", [tensor, name], [f"{name}_tokens"]) for name, tensor in streams.items()]
    nodes.append(helper.make_node("Concat", [f"{name}_tokens" for name in streams], [Tensors.VISUAL_TOKENS], axis=0))
    shapes = {
        Tensors.TEMPORAL_POOLING: (NUM_PATCHES, WIDTH),
        Tensors.SPATIAL_POOLING: ("num_frames", WIDTH),
        Tensors.MOTION_ENERGY: (NUM_MOTION, NUM_PATCHES),
    }
    spec = GraphSpec(
        inputs=tuple(TensorSpec(name=name, dtype="float32", shape=shape) for name, shape in shapes.items()),
        outputs=(TensorSpec(name=Tensors.VISUAL_TOKENS, dtype="float32", shape=("num_visual_tokens", LLM_WIDTH)),),
    )
    return _write(folder / Graphs.ALIGN, nodes, {name: weights[name] for name in streams}, spec)


def _write(path: Path, nodes: list[onnx.NodeProto], constants: dict[str, np.ndarray], spec: GraphSpec) -> GraphSpec:
    def values(tensors: tuple[TensorSpec, ...]) -> list[onnx.ValueInfoProto]:
        return [
            helper.make_tensor_value_info(tensor.name, helper.np_dtype_to_tensor_dtype(np.dtype(tensor.dtype)), tensor.shape) for tensor in tensors
        ]

    initializers = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, path.stem, values(spec.inputs), values(spec.outputs), initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    return spec
