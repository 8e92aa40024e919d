"""The key of a TensorRT engine: what it was built from, with and for. It lies beside the engine as JSON.

An engine is good for one TensorRT version and for the GPU architectures it was built for
(https://docs.nvidia.com/deeplearning/tensorrt/latest/inference-library/advanced.html#version-compatibility), so both are part of its name.
Export writes keys, the runtime compares them before it loads an engine. Knows files and JSON; does not know TensorRT.
"""

import json
import re
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from redvillm.errors import BundleFileError, BundleSchemaError, BundleTargetError, OptionsError
from redvillm.files import atomic_file, sha256_of

FLAVOURS = ("tensorrt", "tensorrt_rtx")
PRECISIONS = ("float32", "float16", "int8")
POOLINGS = ("plugin", "aot", "function")
MAX_FRAMES = 4096
_ARCHITECTURE = re.compile(r"SM[1-9]\d{1,2}")
_MAX_KEY_BYTES = 1 << 16


@dataclass(frozen=True)
class FrameProfile:
    """Numbers of frames that an engine takes: from `smallest` to `largest`, fastest at `usual`."""

    smallest: int = 1
    usual: int = 8
    largest: int = 16

    def __post_init__(self) -> None:
        values = (self.smallest, self.usual, self.largest)
        if any(type(value) is not int for value in values) or not 1 <= self.smallest <= self.usual <= self.largest <= MAX_FRAMES:
            raise OptionsError(f"the frame profile is {values!r:.60}; wanted are integers 1 <= smallest <= usual <= largest <= {MAX_FRAMES}")


@dataclass(frozen=True, kw_only=True)
class EngineKey:
    """Everything that must agree before an engine may be loaded.

    flavour: "tensorrt" or "tensorrt_rtx".
    version: of that library, as it says itself.
    architectures: GPU architectures the engine holds code for, for example ("SM86", "SM89").
    precision: of the patch features and weights: "float32", "float16" or "int8" (with Q/DQ nodes).
    pooling: "plugin" (needs redvillm's Python plugin at run time), "aot" (the kernel is inside the engine) or "function" (standard layers).
    frames: the optimization profile.
    onnx_sha256: of the ONNX file it was built from.
    """

    flavour: str
    version: str
    architectures: tuple[str, ...]
    precision: str
    pooling: str
    frames: FrameProfile
    onnx_sha256: str

    def __post_init__(self) -> None:
        check_choice("flavour", self.flavour, FLAVOURS)
        check_choice("precision", self.precision, PRECISIONS)
        check_choice("pooling", self.pooling, POOLINGS)
        check_architectures(self.architectures)
        if not self.architectures:
            raise OptionsError("an engine's key names at least one GPU architecture, for example SM89")
        if not isinstance(self.version, str) or not re.fullmatch(r"[0-9a-z][0-9a-z.+]{0,40}", self.version):
            raise OptionsError(f"version is {self.version!r:.60}; a version such as 10.3.0 is wanted")
        if not isinstance(self.onnx_sha256, str) or not re.fullmatch(r"[0-9a-f]{64}", self.onnx_sha256):
            raise OptionsError(f"onnx_sha256 is {self.onnx_sha256!r:.80}; 64 hexadecimal digits are wanted")

    def file_name(self, stem: str) -> str:
        """Return the engine's file name, for example "video-tensorrt_rtx1.7.1.116-sm89-float16-plugin-t1.8.16-0a1b2c3d.engine"."""
        frames = f"t{self.frames.smallest}.{self.frames.usual}.{self.frames.largest}"
        places = ".".join(self.architectures).lower()
        return f"{stem}-{self.flavour}{self.version}-{places}-{self.precision}-{self.pooling}-{frames}-{self.onnx_sha256[:8]}.engine"


def key_path(engine: Path) -> Path:
    """Return where the key of an engine lies: beside it."""
    return engine.with_name(engine.name + ".json")


def write_key(engine: Path, key: EngineKey) -> None:
    """Write the key beside the engine that is there, with the fingerprint of its bytes, atomically.

    Raises:
        StorageError: the disk is full or not writable.
    """
    content = {**asdict(key), "engine_sha256": sha256_of(engine)}
    with atomic_file(key_path(engine)) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def read_key(engine: Path) -> EngineKey:
    """Read the key of an engine, and check that the engine is the one it was written for.

    Raises:
        BundleFileError: the engine or its key is missing, unreadable or altered.
    """
    path = key_path(engine)
    repair = "build the engine again"
    if not engine.is_file():
        raise BundleFileError(f"{engine} is not there; build it on the machine that will run it, or for its GPU architecture")
    if not path.is_file() or path.stat().st_size > _MAX_KEY_BYTES:
        raise BundleFileError(f"{engine} has no readable key beside it ({path.name}): {repair}")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        engine_sha256 = content.pop("engine_sha256")
        profile = FrameProfile(**content.pop("frames"))
        key = EngineKey(**{**content, "architectures": tuple(content["architectures"])}, frames=profile)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:  # OptionsError is a ValueError
        raise BundleFileError(f"{path} is not the key of an engine ({error}): {repair}") from error
    if sha256_of(engine) != engine_sha256:
        raise BundleFileError(f"{engine} was altered: its sha256 is not its key's; {repair}")
    return key


def require_key(engine: Path, wanted: EngineKey) -> None:
    """Require that the engine may be used where `wanted` is wanted: its architectures include those of `wanted`, all else is equal.

    Raises:
        BundleFileError: the engine or its key is missing, unreadable or altered.
        BundleTargetError: they differ; the message names every difference.
    """
    if differences := key_differences(read_key(engine), wanted):
        raise BundleTargetError(f"{engine.name} does not fit: {'; '.join(differences)}. Build an engine for this machine and this graph")


def key_differences(found: EngineKey, wanted: EngineKey) -> list[str]:
    """Return in words why an engine with the key `found` cannot be used where `wanted` is wanted; empty where it can."""
    return [
        f"{field.name} is {_text(getattr(found, field.name))}, {_text(getattr(wanted, field.name))} is wanted"
        for field in fields(EngineKey)
        if not _agrees(field.name, getattr(found, field.name), getattr(wanted, field.name))
    ]


def engine_precision(words: str) -> str:
    """Return the precision of an engine of a graph, one of PRECISIONS: the first word of what the manifest says of the graph.

    Raises:
        BundleSchemaError: it is none.
    """
    first = words.replace(",", " ").split()[:1]
    if not first or first[0] not in PRECISIONS:
        raise BundleSchemaError(f"the manifest says {words!r:.60} of a graph's precision; one of {', '.join(PRECISIONS)} is wanted")
    return first[0]


def check_choice(name: str, value: Any, legal: tuple[str, ...]) -> None:
    """Require one of the legal values.

    Raises:
        OptionsError: another value.
    """
    if value not in legal:
        raise OptionsError(f"{name} is {value!r:.40}; legal values are {', '.join(legal)}")


def check_architectures(architectures: Any) -> None:
    """Require distinct names of GPU architectures, such as SM86.

    Raises:
        OptionsError: anything else.
    """
    names = architectures if isinstance(architectures, tuple) else (None,)
    if any(not isinstance(name, str) or not _ARCHITECTURE.fullmatch(name) for name in names) or len(set(names)) != len(names):
        raise OptionsError(f"architectures is {architectures!r:.80}; a tuple of distinct names is wanted, for example ('SM86', 'SM89')")


def _agrees(name: str, found: Any, wanted: Any) -> bool:
    return set(wanted) <= set(found) if name == "architectures" else bool(found == wanted)


def _text(value: Any) -> str:
    if isinstance(value, FrameProfile):
        return f"{value.smallest}-{value.usual}-{value.largest}"
    return "+".join(value) if isinstance(value, tuple) else str(value)
