"""Model-local functions of an ONNX file, removed without the onnx package: TensorRT before 10.7 prefers a function to a plugin of the same name.

Knows the wire format of protocol buffers (https://protobuf.dev/programming-guides/encoding) and one field number of onnx.proto.
"""

from redvillm.errors import ExportError

_FUNCTIONS = 25  # ModelProto.functions
_VARINT, _FIXED_64, _BYTES, _FIXED_32 = 0, 1, 2, 5


def without_functions(model: bytes) -> bytes:
    """Return a serialized ModelProto without its functions, all else as it is.

    Raises:
        ExportError: it is no protocol buffer.
    """
    kept, place = bytearray(), 0
    while place < len(model):
        start = place
        tag, place = _varint(model, place)
        place = _after_value(model, place, tag & 7)
        if tag >> 3 != _FUNCTIONS:
            kept += model[start:place]
    return bytes(kept)


def _after_value(model: bytes, place: int, kind: int) -> int:
    if kind == _VARINT:
        return _varint(model, place)[1]
    if kind == _BYTES:
        length, place = _varint(model, place)
    elif kind in (_FIXED_32, _FIXED_64):
        length = 8 if kind == _FIXED_64 else 4
    else:
        raise ExportError(f"the graph holds an unknown kind of field ({kind}): it is not an ONNX file; export it again")
    if place + length > len(model):
        raise ExportError("the graph ends in the middle of a field: it is cut off, or not an ONNX file; export it again")
    return place + length


def _varint(model: bytes, place: int) -> tuple[int, int]:
    """The number at a place, and the place after it."""
    value = 0
    for index, byte in enumerate(model[place : place + 10]):
        value |= (byte & 127) << 7 * index
        if byte < 128:
            return value, place + index + 1
    raise ExportError("the graph ends in the middle of a number: it is cut off, or not an ONNX file; export it again")
