"""A graph of one pooling node without a function, to feed the plugin what it takes and what it does not."""

import onnx
from onnx import TensorProto, helper


def save_pooling_onnx(path, *, element=TensorProto.FLOAT, sizes=("num_frames", 7, 13), weights=None, name="SpatioTemporalPool"):
    inputs = [helper.make_tensor_value_info("features", element, sizes)]
    if weights is not None:
        inputs.append(helper.make_tensor_value_info("weights", *weights))
    attributes = {"plugin_namespace": "redvillm", "plugin_version": "1"}
    node = helper.make_node(name, [value.name for value in inputs], ["temporal", "spatial"], "the_pool", domain="redvillm", **attributes)
    outputs = [helper.make_tensor_value_info(output, element, None) for output in node.output]
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("redvillm", 1)]
    onnx.save(helper.make_model(helper.make_graph([node], "g", inputs, outputs), opset_imports=opsets, ir_version=10), path)
    return path
