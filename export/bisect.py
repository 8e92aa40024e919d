"""Inner values of exported graphs: where a difference to the reference begins, once the parity gate has found one.

Knows graphs and their inner values; does not know what a stage or a limit is.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from redvillm.export.decoder_graph import layer_output
from redvillm.export.graph_run import FloatArray, GraphDecoder
from redvillm.export.node_runner import run_node_by_node
from redvillm.export.parity_language import PromptSequence
from redvillm.export.parity_measures import mean_cosine
from redvillm.export.plan import BundlePlan
from redvillm.manifest import Graphs

_ALIKE = 0.99


def first_differing_layer(folder: Path, plan: BundlePlan, asked: PromptSequence, *, library: Path | None) -> str:
    """Return in words the first layer of decoder.onnx whose output is not that of the reference."""
    num_layers = plan.dimensions.num_layers
    expected = plan.language.layer_outputs(asked.embeddings, asked.positions)
    names = [layer_output(layer) for layer in range(num_layers - 1)]  # the last one has no row but those whose logits are wanted
    found = decoder_values(folder, plan, asked, names, library=library)
    for layer, (value, wanted) in enumerate(zip(found, expected, strict=False)):
        if (cosine := mean_cosine(value, wanted)) < _ALIKE:
            return f"it begins in layer {layer} of {num_layers} (mean cosine {cosine:.3g} after it)"
    return f"all layers but the last agree, so it begins in layer {num_layers - 1} of {num_layers}, the last norm or the head"


def decoder_values(folder: Path, plan: BundlePlan, asked: PromptSequence, names: Sequence[str], *, library: Path | None = None) -> list[FloatArray]:
    """Return inner values of decoder.onnx, float32, for a prompt."""
    graph = onnx.load(folder / Graphs.DECODER, load_external_data=False)
    graph.graph.output.extend(helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in names)
    with _beside(folder / Graphs.DECODER, graph) as path:
        return GraphDecoder(path, plan.dimensions, plan.rotary, library=library).values(asked.embeddings, asked.positions, names)


def first_differing_value(exact: Path, changed: Path, feeds: dict[str, NDArray[Any]]) -> str:
    """Return in words the first value, in the order of computation, in which two graphs with the same names differ."""
    graphs = [onnx.load(path) for path in (exact, changed)]
    kept = {name for node in graphs[1].graph.node for name in node.output}
    nodes = [node for node in graphs[0].graph.node if node.output[0] in kept]
    values = [run_node_by_node(graph, feeds, [node.output[0] for node in nodes]) for graph in graphs]
    for node, wanted, found in zip(nodes, *values, strict=True):
        if wanted.dtype != np.float32 or wanted.shape != found.shape or wanted.ndim < 2:
            continue
        place = f"it begins at {node.op_type} {node.name or node.output[0]}"
        if not np.isfinite(found).all():
            return f"{place}, whose values reach {np.abs(wanted).max():.3g}: {found.dtype} ends at {np.finfo(found.dtype).max:.0f}"
        if (cosine := mean_cosine(found.astype(np.float32).reshape(len(found), -1), wanted.reshape(len(wanted), -1))) < _ALIKE:
            return f"{place} (cosine {cosine:.3g} after it)"
    return "no inner value that both graphs have differs by itself"


@contextmanager
def _beside(path: Path, graph: onnx.ModelProto) -> Iterator[Path]:
    """A changed graph beside the original, whose data it reads; removed at the end."""
    changed = path.with_name(f"bisect-{path.name}")
    changed.write_bytes(graph.SerializeToString())
    try:
        yield changed
    finally:
        changed.unlink()
