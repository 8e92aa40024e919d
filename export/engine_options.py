"""Options of building an engine, and what a build reports. Knows legal values; does not know TensorRT."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from redvillm.engine_key import FLAVOURS, POOLINGS, PRECISIONS, EngineKey, FrameProfile, check_architectures, check_choice
from redvillm.errors import OptionsError
from redvillm.manifest import GraphSpec

Existing = Literal["replace", "keep", "check"]  # what becomes of an engine with the same key
State = Literal["built", "kept", "checked"]
_MAX_WORKSPACE_MIB = 1 << 20
_MAX_OPTIMIZATION_LEVEL = 5


@dataclass(frozen=True, kw_only=True)
class EngineOptions:
    """How to build an engine.

    precision: what the graph must be in, "float32", "float16" or "int8" (with Q/DQ nodes). Networks are strongly typed, so the graph decides; this is
        checked, not converted (`export.precision` makes a float16 graph).
    pooling: what computes `redvillm::SpatioTemporalPool`: "plugin" (redvillm's, needed again at run time), "aot" (its kernel inside the engine,
        TensorRT 10.9 and newer) or "function" (standard layers, from the function in the graph). A graph without that node takes "function".
    frames: numbers of frames of the optimization profile.
    flavour: "tensorrt", "tensorrt_rtx" or None (the first that is installed).
    architectures: GPU architectures to build for, TensorRT for RTX only, for example ("SM86", "SM89"). The enterprise library builds for the GPU of
        this machine: leave it empty.
    workspace_mib: most scratch memory in MiB that a layer may use; None for TensorRT's default.
    optimization_level: 0 (fastest build) to 5; None for TensorRT's default.
    timing_cache: a file that keeps measured times from build to build, enterprise library only.
    aot_ptx: the PTX of the kernel, for pooling "aot"; None for the one that was installed with the CUDA kernels.
    detailed: keep the details of every layer in the engine, for TensorRT's inspector.
    timeout_s: seconds after which the build is ended.
    """

    precision: str
    pooling: str = "plugin"
    frames: FrameProfile = field(default_factory=FrameProfile)
    flavour: str | None = None
    architectures: tuple[str, ...] = ()
    workspace_mib: int | None = None
    optimization_level: int | None = None
    timing_cache: Path | None = None
    aot_ptx: Path | None = None
    detailed: bool = False
    timeout_s: float = 3600.0

    def __post_init__(self) -> None:
        check_choice("precision", self.precision, PRECISIONS)
        check_choice("pooling", self.pooling, POOLINGS)
        if self.flavour is not None:
            check_choice("flavour", self.flavour, FLAVOURS)
        check_architectures(self.architectures)
        _check_integer("workspace_mib", self.workspace_mib, 1, _MAX_WORKSPACE_MIB)
        _check_integer("optimization_level", self.optimization_level, 0, _MAX_OPTIMIZATION_LEVEL)
        if not isinstance(self.frames, FrameProfile):
            raise OptionsError(f"frames is {self.frames!r:.40}; a FrameProfile is wanted, for example FrameProfile(1, 8, 16)")
        if self.aot_ptx is not None and self.pooling != "aot":
            raise OptionsError(f"aot_ptx is for pooling 'aot', and pooling is {self.pooling!r}; leave it out, or choose 'aot'")
        if not isinstance(self.timeout_s, int | float) or not 0 < self.timeout_s < 1e7:
            raise OptionsError(f"timeout_s is {self.timeout_s!r:.40}; seconds above zero are wanted")


@dataclass(frozen=True)
class LayerInfo:
    """One layer of the network before optimization: TensorRT's name and type of it."""

    name: str
    type: str


@dataclass(frozen=True)
class BuildProgress:
    """A step of a phase was done; `parent` is the phase it belongs to, or empty."""

    phase: str
    parent: str
    step: int
    num_steps: int


@dataclass(frozen=True, kw_only=True)
class EngineReport:
    """What was built.

    path: the engine; its key lies beside it.
    state: "kept" for one that was there, "checked" where only the graph was parsed and nothing lies at `path`.
    graph: its inputs and outputs; a dynamic size is a name, "?" for outputs.
    pooling_layers: layers that compute the pooling: the plugin, or the two reductions of the function; empty when the graph has no such node.
    layers: the whole network as it was parsed.
    plugin_calls: how often TensorRT called each method of the plugin.
    warnings: what TensorRT warned of.
    """

    path: Path
    key: EngineKey
    size_bytes: int
    build_s: float
    graph: GraphSpec
    pooling_layers: tuple[LayerInfo, ...]
    layers: tuple[LayerInfo, ...]
    plugin_calls: dict[str, int]
    warnings: tuple[str, ...]
    state: State = "built"


def _check_integer(name: str, value: Any, smallest: int, largest: int) -> None:
    if value is not None and (type(value) is not int or not smallest <= value <= largest):
        raise OptionsError(f"{name} is {value!r:.40}; it must be an integer from {smallest} to {largest}, or None for TensorRT's default")
