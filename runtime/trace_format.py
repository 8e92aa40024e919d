"""The bytes of a trace: what a stream's perception was offered, frame by frame, to be played again.

    file   = MAGIC | record* | FOOTER
    record = kind u8 | length u32 | CRC-32 u32 of kind, length and payload | payload
    kinds: HEADER (JSON, first), FRAME, BOOKS (JSON, now and then), INDEX (last: how many, where and when)
    footer = place of the INDEX record u64 | END_MAGIC
    FRAME  = arrival time f64 | height u32 | width u32 | is_bgr u8 | pixels, as differences to the left neighbour, deflated

Little endian. The arrival time is in seconds after the first frame's. Records are only ever appended, so that a file that was cut, by a full disk or
a lost power supply, is whole up to the cut. Differences and run lengths compress camera noise four times as fast as PNG does and to about the same
size. Knows bytes; does not know files. The bytes may be anybody's: nothing is believed that was not checked, nothing is larger than its limit, and
nothing is executed.
"""

import json
import math
import struct
import zlib
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np

from redvillm.errors import OptionsError, SourceFormatError
from redvillm.runtime.frame import Frame, Pixels

TRACE_SUFFIX = ".rvtrace"
MAGIC = b"RVTRACE\x01"  # the last byte is the version of the format
END_MAGIC = b"RVTREND\x01"
RECORD_HEAD = struct.Struct("<BII")
FOOTER = struct.Struct(f"<Q{len(END_MAGIC)}s")
_FRAME_HEAD = struct.Struct("<dIIB")
INDEX_ENTRY = struct.Struct("<Qd")
MAX_PIXELS = 1 << 26  # 8192 x 8192
MAX_JSON_BYTES = 1 << 16
MAX_TIME_S = 1e9


class Kind(IntEnum):
    """What a record holds."""

    HEADER = 1
    FRAME = 2
    BOOKS = 3
    INDEX = 4


_MAX_BYTES = {
    Kind.HEADER: MAX_JSON_BYTES,
    Kind.BOOKS: MAX_JSON_BYTES,
    Kind.FRAME: _FRAME_HEAD.size + MAX_PIXELS * 3 * 101 // 100 + 1024,
    Kind.INDEX: 1 << 28,
}


@dataclass(frozen=True, eq=False)
class TracedFrame:
    """A frame of a trace, still deflated."""

    time_s: float
    height: int
    width: int
    is_bgr: bool
    deflated: bytes

    def pixels(self) -> Pixels:
        """Return the pixels, uint8 [height, width, 3].

        Raises:
            SourceFormatError: the bytes do not give as many as the frame says.
        """
        size = self.height * self.width * 3
        inflator = zlib.decompressobj()
        try:
            data = inflator.decompress(self.deflated, size + 1)  # never more than one byte too many, whatever they say
        except zlib.error as error:
            raise SourceFormatError(f"a frame of the trace cannot be inflated: {error}") from None
        if len(data) != size or not inflator.eof or inflator.unused_data:
            raise SourceFormatError(f"a frame of the trace does not hold {self.height} x {self.width} pixels")
        differences = np.frombuffer(data, np.uint8).reshape(self.height, self.width, 3)
        return np.cumsum(differences, axis=1, dtype=np.uint8)


def pack_record(kind: Kind, payload: bytes) -> bytes:
    """Return the bytes of a record."""
    return RECORD_HEAD.pack(kind, len(payload), _checksum(kind, payload)) + payload


def checked_head(head: bytes) -> tuple[Kind, int, int] | None:
    """Return kind, length of the payload and checksum from the head of a record; None when these bytes are no head."""
    if len(head) != RECORD_HEAD.size:
        return None
    number, length, checksum = RECORD_HEAD.unpack(head)
    if number not in _MAX_BYTES or length > _MAX_BYTES[Kind(number)]:
        return None
    return Kind(number), length, checksum


def is_whole(kind: Kind, payload: bytes, checksum: int) -> bool:
    """Whether the payload is what was written."""
    return _checksum(kind, payload) == checksum


def pack_frame(frame: Frame, time_s: float) -> bytes:
    """Return the payload of a frame that arrived at `time_s`.

    Raises:
        OptionsError: it is larger than a trace takes.
    """
    height, width = frame.pixels.shape[:2]
    if height * width > MAX_PIXELS:
        raise OptionsError(f"a frame of {height} x {width} pixels is too large for a trace; it takes {MAX_PIXELS} pixels at most")
    differences = frame.pixels.copy()
    differences[:, 1:] -= frame.pixels[:, :-1]
    deflator = zlib.compressobj(1, zlib.DEFLATED, zlib.MAX_WBITS, zlib.DEF_MEM_LEVEL, zlib.Z_RLE)
    return _FRAME_HEAD.pack(time_s, height, width, frame.is_bgr) + deflator.compress(differences.data) + deflator.flush()


def unpack_frame(payload: bytes) -> TracedFrame | None:
    """Return the frame of a payload; None when it cannot be one."""
    if len(payload) < _FRAME_HEAD.size:
        return None
    time_s, height, width, is_bgr = _FRAME_HEAD.unpack_from(payload)
    if not (math.isfinite(time_s) and 0 <= time_s <= MAX_TIME_S and height and width and height * width <= MAX_PIXELS and is_bgr <= 1):
        return None
    return TracedFrame(time_s, height, width, bool(is_bgr), payload[_FRAME_HEAD.size :])


def pack_json(document: dict[str, Any]) -> bytes:
    """Return the payload of a document."""
    return json.dumps(document, allow_nan=False).encode("ascii")


def unpack_json(payload: bytes) -> dict[str, Any] | None:
    """Return the document of a payload; None when it holds none."""
    try:
        document = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _checksum(kind: Kind, payload: bytes) -> int:
    return zlib.crc32(payload, zlib.crc32(struct.pack("<BI", kind, len(payload))))
