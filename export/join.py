"""Two graphs as one: the outputs of the first are the inputs of the second, under the same names. Knows the onnx file format only."""

import onnx
from onnx import compose

_PREFIX = "after_"


def join_graphs(first: onnx.ModelProto, second: onnx.ModelProto) -> onnx.ModelProto:
    """Return `second` fed by `first`: the inputs of one, the outputs of the other, the functions of both. Opset versions must agree."""
    versions = {opset.domain: opset.version for opset in first.opset_import}
    assert all(versions.get(opset.domain, opset.version) == opset.version for opset in second.opset_import)
    assert {value.name for value in second.graph.input} == {value.name for value in first.graph.output}
    renamed = compose.add_prefix(second, _PREFIX, rename_inputs=False, rename_outputs=False, rename_functions=False)
    joined = onnx.ModelProto()
    joined.CopyFrom(first)
    joined.opset_import.extend(opset for opset in renamed.opset_import if opset.domain not in versions)
    joined.functions.extend(renamed.functions)
    for field in ("node", "initializer", "value_info"):
        getattr(joined.graph, field).extend(getattr(renamed.graph, field))
    joined.graph.value_info.extend(first.graph.output)
    joined.graph.ClearField("output")
    joined.graph.output.extend(renamed.graph.output)
    return joined
