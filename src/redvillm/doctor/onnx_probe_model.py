"""The smallest useful ONNX model, written byte by byte: `total = left + right`, float32 [4].

The doctor runs it on every provider; the onnx package, which could build it, belongs to the export half.
Field numbers are those of onnx.proto (ONNX IR version 8, opset 17); the encoding is protobuf's wire format.
"""

_VARINT, _LENGTH_DELIMITED = 0, 2
_FLOAT32 = 1


def probe_model() -> bytes:
    """Return the serialized ModelProto; inputs `left` and `right`, output `total`."""
    node = _text(1, "left") + _text(1, "right") + _text(2, "total") + _text(4, "Add")
    values = _message(11, _value("left")) + _message(11, _value("right")) + _message(12, _value("total"))
    graph = _message(1, node) + _text(2, "probe") + values
    opset = _text(1, "") + _number(2, 17)
    return _number(1, 8) + _message(7, graph) + _message(8, opset)


def _value(name: str) -> bytes:
    shape = _message(1, _number(1, 4))
    tensor_type = _number(1, _FLOAT32) + _message(2, shape)
    return _text(1, name) + _message(2, _message(1, tensor_type))


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3 | _VARINT) + _varint(value)


def _text(field: int, value: str) -> bytes:
    return _message(field, value.encode())


def _message(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | _LENGTH_DELIMITED) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    septets = []
    while value > 0x7F:
        septets.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*septets, value])
