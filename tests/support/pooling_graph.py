"""A graph with one redvillm::SpatioTemporalPool node, written byte by byte: tests of the op need no onnx package.

Field numbers are those of onnx.proto (IR version 10, opset 20); tests/export/test_pooling.py compares the bytes with onnx's own.
"""

ELEMENTS = {"float32": 1, "float16": 10, "float64": 11, "bfloat16": 16}  # TensorProto.DataType
IR_VERSION, OPSET = 10, 20


def pooling_graph(dtype: str = "float32", *, weighted: bool = False, shape: tuple[int | str, ...] | None = ("T", "N", "D")) -> bytes:
    """Return a serialized ModelProto: features [T, N, D] and perhaps weights float32 [K] in, both means out, no function in it.

    `shape` None leaves the rank of the features open.
    """
    inputs = ["features", "weights"] if weighted else ["features"]
    outputs = ["temporal_pooling", "spatial_pooling"]
    attributes = [_message(5, _text(1, name) + _text(4, value) + _number(20, 3)) for name, value in _ATTRIBUTES]
    names = [*(_text(1, name) for name in inputs), *(_text(2, name) for name in outputs)]
    node = b"".join([*names, _text(4, "SpatioTemporalPool"), *attributes, _text(7, "redvillm")])
    graph = _message(1, node) + _text(2, "pooling") + _message(11, _value("features", dtype, shape))
    if weighted:
        graph += _message(11, _value("weights", "float32", ("K",)))
    graph += b"".join(_message(12, _value(name, dtype, None)) for name in outputs)
    opsets = _message(8, _text(1, "") + _number(2, OPSET)) + _message(8, _text(1, "redvillm") + _number(2, 1))
    return _number(1, IR_VERSION) + _message(7, graph) + opsets


_ATTRIBUTES = (("plugin_namespace", "redvillm"), ("plugin_version", "1"))


def _value(name: str, dtype: str, shape: tuple[int | str, ...] | None) -> bytes:
    tensor = _number(1, ELEMENTS[dtype])
    if shape is not None:
        sizes = (_text(2, size) if isinstance(size, str) else _number(1, size) for size in shape)
        tensor += _message(2, b"".join(_message(1, size) for size in sizes))
    return _text(1, name) + _message(2, _message(1, tensor))


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _text(field: int, value: str) -> bytes:
    return _message(field, value.encode())


def _message(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    septets = []
    while value > 0x7F:
        septets.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*septets, value])
