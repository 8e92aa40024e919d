"""The manifest of a bundle: the only contract between export and runtime.

Names every graph, tensor and limit once. Knows JSON and plain values; does not know torch, onnx or any runtime.
Reading is strict: an unknown key, a missing key or a value of the wrong type raises BundleSchemaError.
"""

import dataclasses
import json
import types
import typing
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Self

from redvillm.errors import BundleFileError, BundleSchemaError, BundleTargetError
from redvillm.files import atomic_file, sha256_of

SCHEMA_VERSION = 3  # 3: how frames are fitted, and the text around the visual tokens
MANIFEST_NAME = "manifest.json"
ENGINES = "engines"  # folder of TensorRT engines in a bundle
TARGETS = ("cpu", "cuda", "tensorrt")
STREAMS = ("spatial", "temporal", "motion")
VISION_PRECISIONS = ("int8", "fp16", "fp32")
FITS = ("squash", "crop")
FILTERS = ("area", "bilinear", "bicubic", "lanczos")
_MAX_MANIFEST_BYTES = 4 << 20
_MAX_IMAGE_SIZE = 8192


class Graphs:
    """File names of the graphs of a bundle."""

    VISION = "vision.onnx"
    VIDEO = "video.onnx"
    ALIGN = "align.onnx"
    DECODER = "decoder.onnx"


class Tensors:
    """Names of the tensors that cross the border between the graphs and the runtime.

    T frames, N patches, D vision width, M motion tokens, H LLM width, S new tokens, K logits rows, V vocabulary, C cache length.
    """

    PIXELS = "pixels"  # uint8 [T, height, width, 3], RGB
    FEATURES = "features"  # float32 [T, N, D], the patch features X
    TEMPORAL_POOLING = "temporal_pooling"  # float32 [N, D], mean of X over T
    SPATIAL_POOLING = "spatial_pooling"  # float32 [T, D], mean of X over N
    MOTION_ENERGY = "motion_energy"  # float32 [M, N]
    VISUAL_TOKENS = "visual_tokens"  # float32 [N + T + M, H]
    INPUT_EMBEDDINGS = "inputs_embeds"  # float32 [1, S, H]
    LOGITS_INDICES = "logits_indices"  # int64 [K], positions within S whose logits are wanted
    LAST_POSITION = "seqlens_k"  # int32 [1], length of the sequence with the new tokens, minus one
    SEQUENCE_LENGTH = "total_sequence_length"  # int32 scalar, length of the sequence with the new tokens
    ROTARY_COSINES = "rotary_cosines"  # float32 [C, head_width / 2], of each place in the sequence; only where positions have three parts
    ROTARY_SINES = "rotary_sines"
    LOGITS = "logits"  # float32 [K, V]

    @staticmethod
    def past(layer: int, kind: typing.Literal["key", "value"]) -> str:
        """Name of a KV cache input, float16 [1, num_kv_heads, C, head_width]."""
        return f"past_key_values.{layer}.{kind}"

    @staticmethod
    def present(layer: int, kind: typing.Literal["key", "value"]) -> str:
        """Name of a KV cache output, of the shape of its input (the same buffer may be bound to both)."""
        return f"present.{layer}.{kind}"


class Files:
    """File names of the other parts of a bundle."""

    # Sixteen tokens lie interleaved, four columns of each side by side: the layout in which a tied head multiplies them.
    EMBEDDING_CODES = "embeddings.codes.npy"  # uint8 [V / 16, H / 32, 8, 16, 4]; value = (code - 128) * scale of its block
    EMBEDDING_SCALES = "embeddings.scales.npy"  # float16 [V / 16, H / 32, 16]
    TOKENIZER = "tokenizer.json"


@dataclass(frozen=True, kw_only=True)
class Dimensions:
    """Sizes of the model; the letters are those of the shapes in every docstring."""

    num_frames: int  # T, the longest window
    num_patches: int  # N
    vision_width: int  # D
    llm_width: int  # H
    num_motion_tokens: int  # M, 0 without a motion stream
    vocabulary_size: int  # V
    num_layers: int
    num_kv_heads: int
    head_width: int
    max_context_tokens: int


@dataclass(frozen=True, kw_only=True)
class TensorSpec:
    """Name, numpy dtype name and shape of a graph input or output; a string in the shape is a dynamic size."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]


@dataclass(frozen=True, kw_only=True)
class GraphSpec:
    """Inputs and outputs of one graph, in order."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


@dataclass(frozen=True, kw_only=True)
class FileSpec:
    """Fingerprint of one file of the bundle."""

    sha256: str
    size_bytes: int


@dataclass(frozen=True, kw_only=True)
class FitSpec:
    """How a frame becomes the pixels that the vision encoder takes.

    fit: "squash" stretches the whole frame; "crop" scales it to `shorter_side` (0 otherwise) and keeps the middle: what lies outside is lost.
    filter: "area" is redvillm's own (fast; halves large frames first), the others are Pillow's, which image processors use.
    """

    height: int
    width: int
    fit: str
    filter: str
    shorter_side: int = 0

    @classmethod
    def square(cls, size: int) -> Self:
        """Return the fit of redvillm's own models: the whole frame, stretched to a square."""
        return cls(height=size, width=size, fit="squash", filter="area")


@dataclass(frozen=True, kw_only=True)
class PromptSpec:
    """The prompt: before | visual tokens | between, question, after. Special tokens stand in the texts as text."""

    before: str
    between: str
    after: str
    stop_token_ids: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class RotarySpec:
    """Rotary positions with three parts (redvillm.rotary); `sections` is empty where a position is the place in the sequence.

    sections: how many frequencies turn with time, height and width.
    grid_rows, grid_columns: of the spatial tokens.
    """

    base: float
    sections: tuple[int, ...]
    grid_rows: int
    grid_columns: int


PLAIN_ROTARY = RotarySpec(base=0.0, sections=(), grid_rows=0, grid_columns=0)


@dataclass(frozen=True, kw_only=True)
class WeightOrigin:
    """Where a weight came from and under which licence it may be used."""

    name: str
    origin: str
    licence: str
    sha256: str


@dataclass(frozen=True, kw_only=True)
class ParityResult:
    """One comparison of an exported stage with its torch reference; `limit` is the largest (or smallest) value allowed."""

    stage: str
    metric: str
    value: float
    limit: float
    passed: bool


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """Everything a runtime needs to know of a bundle before it loads a file of it."""

    schema_version: int
    name: str
    family: str
    target: str
    precision: dict[str, str]  # by graph
    dimensions: Dimensions
    frames: FitSpec
    streams: tuple[str, ...]
    graphs: dict[str, GraphSpec]
    files: dict[str, FileSpec]
    prompt: PromptSpec
    rotary: RotarySpec
    weights: tuple[WeightOrigin, ...]
    parity: tuple[ParityResult, ...]
    tools: dict[str, str]

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Parse and validate a manifest.

        Raises:
            BundleSchemaError: not JSON, a newer schema, or a key that is missing, unknown or of the wrong type.
        """
        try:
            data = json.loads(text, parse_constant=_reject_constant)
        except (ValueError, RecursionError) as error:
            raise BundleSchemaError(f"{MANIFEST_NAME} is not JSON ({error}); export the bundle again") from None
        if not isinstance(data, dict):
            raise BundleSchemaError(f"{MANIFEST_NAME} holds a {type(data).__name__}, an object is wanted; export the bundle again")
        version = data.get("schema_version")
        if version != SCHEMA_VERSION:
            raise BundleSchemaError(
                f"{MANIFEST_NAME} has schema version {version!r:.40}, this redvillm reads {SCHEMA_VERSION}: "
                "use the redvillm that wrote it, or export the bundle again"
            )
        manifest = typing.cast(Self, _build(cls, data, ""))
        manifest._validate()
        return manifest

    def to_json(self) -> str:
        """Return the manifest as JSON, the same bytes for the same content."""
        return json.dumps(dataclasses.asdict(self), indent=1, ensure_ascii=False, allow_nan=False) + "\n"

    def write(self, folder: Path) -> None:
        """Write the manifest into `folder`, atomically."""
        with atomic_file(folder / MANIFEST_NAME) as temporary:
            temporary.write_text(self.to_json(), encoding="utf-8")

    def _validate(self) -> None:
        if self.target not in TARGETS:
            raise BundleTargetError(f"the bundle is for target {self.target!r:.40}; legal targets are {', '.join(TARGETS)}")
        unknown = set(self.streams) - set(STREAMS)
        if unknown or not self.streams or len(set(self.streams)) != len(self.streams):
            raise BundleSchemaError(f"streams {self.streams!r:.80} are not distinct names out of {', '.join(STREAMS)}")
        for field, value in dataclasses.asdict(self.dimensions).items():
            if not (0 if field == "num_motion_tokens" else 1) <= value <= 1 << 24:
                raise BundleSchemaError(f"dimensions.{field} is {value}; it must be positive and at most {1 << 24}")
        self._validate_frames()
        for name in self.files:
            if not name or name.startswith(("/", ".")) or "\\" in name or ".." in name.split("/") or "\0" in name:
                raise BundleSchemaError(f"file name {name!r:.80} leaves the bundle's folder; export the bundle again")
        self._validate_rotary()
        missing = {Graphs.VISION, Graphs.ALIGN, Graphs.DECODER} - set(self.graphs)
        if missing:
            raise BundleSchemaError(f"the manifest describes no {', '.join(sorted(missing))}; export the bundle again")

    def _validate_rotary(self) -> None:
        rotary, sizes = self.rotary, self.dimensions
        if not rotary.sections:
            return
        if len(rotary.sections) != 3 or min(rotary.sections) < 0 or sum(rotary.sections) * 2 != sizes.head_width:
            raise BundleSchemaError(
                f"rotary.sections are {list(rotary.sections)}; three that make up half of the head width {sizes.head_width} are wanted"
            )
        if rotary.grid_rows * rotary.grid_columns != sizes.num_patches or min(rotary.grid_rows, rotary.grid_columns) < 1 or not rotary.base > 1:
            raise BundleSchemaError(
                f"rotary has a grid of {rotary.grid_rows} x {rotary.grid_columns} and base {rotary.base:g}; {sizes.num_patches} patches"
            )

    def _validate_frames(self) -> None:
        for name, pixels in (("height", self.frames.height), ("width", self.frames.width)):
            if not 1 <= pixels <= _MAX_IMAGE_SIZE:
                raise BundleSchemaError(f"frames.{name} is {pixels}; it must be positive and at most {_MAX_IMAGE_SIZE}")
        for name, choice, legal in (("fit", self.frames.fit, FITS), ("filter", self.frames.filter, FILTERS)):
            if choice not in legal:
                raise BundleSchemaError(f"frames.{name} is {choice!r:.40}; legal are {', '.join(legal)}")
        smallest = max(self.frames.height, self.frames.width) if self.frames.fit == "crop" else 0
        if not smallest <= self.frames.shorter_side <= _MAX_IMAGE_SIZE * (self.frames.fit == "crop"):
            raise BundleSchemaError(
                f"frames.shorter_side is {self.frames.shorter_side}; it must be 0 for squash, and at least the crop's size for crop"
            )


def read_manifest(folder: Path, *, target: str | None = None) -> Manifest:
    """Read the manifest of the bundle in `folder`; with `target`, also require that target.

    Raises:
        BundleFileError: no bundle there.
        BundleSchemaError: an unreadable manifest.
        BundleTargetError: a bundle for another target.
    """
    path = folder / MANIFEST_NAME
    if folder.is_file():
        raise BundleFileError(f"{folder} is a file; a bundle is a folder. Give the folder that 'redvillm export' made")
    if not path.is_file():
        raise BundleFileError(f"{folder} is not a bundle: it holds no {MANIFEST_NAME}. Make one with 'redvillm export redvillm-nano --out {folder}'")
    if path.stat().st_size > _MAX_MANIFEST_BYTES:
        raise BundleSchemaError(f"{path} is larger than {_MAX_MANIFEST_BYTES} bytes: not a manifest of redvillm")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise BundleSchemaError(f"{path} is not UTF-8 text; export the bundle again") from None
    manifest = Manifest.from_json(text)
    if target is not None and manifest.target != target:
        raise BundleTargetError(
            f"{folder} was exported for target {manifest.target!r}, {target!r} was asked for: give --target {manifest.target}, "
            f"or export it again for {target}"
        )
    return manifest


def verify_files(folder: Path, manifest: Manifest, *, checksums: bool = True) -> None:
    """Check that `folder` holds exactly the files of the manifest; with `checksums`, also their bytes.

    Engines in `engines/` are built later, on the machine that runs them, and are not counted.

    Raises:
        BundleFileError: a missing, altered or unexpected file.
    """
    present = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    present = {name for name in present if name != MANIFEST_NAME and PurePosixPath(name).parent.as_posix() != ENGINES}
    repair = "export the bundle again"
    if missing := sorted(set(manifest.files) - present):
        raise BundleFileError(f"{folder} lacks {', '.join(missing)}: {repair}")
    if extra := sorted(present - set(manifest.files)):
        raise BundleFileError(f"{folder} holds {', '.join(extra)}, which its manifest does not list: remove it, or {repair}")
    for name, spec in manifest.files.items():
        size_bytes = (folder / name).stat().st_size
        if size_bytes != spec.size_bytes:
            raise BundleFileError(f"{folder / name} has {size_bytes} bytes, its manifest says {spec.size_bytes}: {repair}")
        if checksums and sha256_of(folder / name) != spec.sha256:
            raise BundleFileError(f"{folder / name} was altered: its sha256 is not the manifest's; {repair}")


def describe_files(folder: Path) -> dict[str, FileSpec]:
    """Return the fingerprints of all files below `folder` but the manifest, by relative path, sorted."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST_NAME)
    return {path.relative_to(folder).as_posix(): FileSpec(sha256=sha256_of(path), size_bytes=path.stat().st_size) for path in paths}


def _build(kind: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _build_dataclass(kind, value, where)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is tuple:
        _require(isinstance(value, list), where, "a list", value)
        return tuple(_build(arguments[0], item, f"{where}[{index}]") for index, item in enumerate(value))
    if origin is dict:
        _require(isinstance(value, dict), where, "an object", value)
        return {key: _build(arguments[1], item, f"{where}.{key}") for key, item in value.items()}
    if origin is types.UnionType:
        _require(type(value) in arguments, where, " or ".join(option.__name__ for option in arguments), value)
        return value
    if kind is float and type(value) is int:
        _require(abs(value) <= 1 << 1000, where, "a float", value)
        value = float(value)
    _require(type(value) is kind, where, f"a {kind.__name__}", value)
    return value


def _build_dataclass(kind: type, value: Any, where: str) -> Any:
    _require(isinstance(value, dict), where, "an object", value)
    hints = typing.get_type_hints(kind)
    names = {field.name for field in dataclasses.fields(kind)}
    if unknown := sorted(set(value) - names):
        raise BundleSchemaError(
            f"{MANIFEST_NAME}: unknown key {unknown[0]!r:.60} in {where or 'the top level'}; legal keys are {', '.join(sorted(names))}"
        )
    if missing := sorted(names - set(value)):
        raise BundleSchemaError(f"{MANIFEST_NAME}: {where or 'the top level'} lacks the key {missing[0]!r}; export the bundle again")
    return kind(**{name: _build(hints[name], value[name], f"{where}.{name}".lstrip(".")) for name in names})


def _reject_constant(name: str) -> typing.NoReturn:
    raise ValueError(f"{name} is not a number of JSON")


def _require(condition: bool, where: str, wanted: str, value: Any) -> None:
    if not condition:
        raise BundleSchemaError(f"{MANIFEST_NAME}: {where or 'the top level'} is {value!r:.60}, {wanted} is wanted; export the bundle again")
