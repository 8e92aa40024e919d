"""The engines of a bundle: which of its graphs become one, in which precision, and where they go.

Knows bundles and what a user may choose; `engine.build_engine` makes each. Needs neither torch nor onnx, as a device has neither.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from redvillm import zoo
from redvillm.engine_key import FrameProfile, engine_precision
from redvillm.errors import BundleFileError, BundleTargetError, OptionsError
from redvillm.export.engine import BuildProgress, EngineOptions, EngineReport, Existing, build_engine
from redvillm.files import sha256_of
from redvillm.manifest import ENGINES, Graphs, Manifest, read_manifest

GRAPHS = {Path(graph).stem: graph for graph in (Graphs.VISION, Graphs.ALIGN, Graphs.VIDEO)}
_USUAL_FRAMES = 8
_TARGET = "tensorrt"


@dataclass(frozen=True, kw_only=True)
class EngineRequest:
    """What to build.

    bundle: folder, or name of a model of the zoo whose bundle is in the cache.
    graphs: names out of GRAPHS; None for all that the bundle has.
    frames: the optimization profile; None for 1 up to the bundle's window, usually one frame for vision.onnx and 8 for the others.
    pooling: what computes the pooling of video.onnx, as EngineOptions say.
    flavour, architectures, workspace_mib, optimization_level, timing_cache: as EngineOptions.
    out: folder of the engines; None for `engines` in the bundle.
    """

    bundle: str
    graphs: tuple[str, ...] | None = None
    frames: FrameProfile | None = None
    pooling: str = "plugin"
    flavour: str | None = None
    architectures: tuple[str, ...] = ()
    workspace_mib: int | None = None
    optimization_level: int | None = None
    timing_cache: Path | None = None
    out: Path | None = None


@dataclass(frozen=True)
class EngineTask:
    """One engine to build: name of the graph, its file, where the engine goes, and how."""

    name: str
    onnx: Path
    folder: Path
    options: EngineOptions

    def run(self, existing: Existing, progress: Callable[[BuildProgress], None]) -> EngineReport:
        """Build it, as `build_engine` does, and raise what that raises."""
        return build_engine(self.onnx, self.options, folder=self.folder, existing=existing, progress=progress)


def engine_tasks(request: EngineRequest) -> tuple[EngineTask, ...]:
    """Check the request and the bundle; return the engines to build, in order. TensorRT is not looked at.

    Raises:
        OptionsError: an option outside its legal values, or a graph that the bundle does not have.
        BundleError: no bundle, one for another target, or an altered graph.
    """
    folder = zoo.find_bundle(request.bundle, _TARGET)
    manifest = read_manifest(folder)
    if manifest.target != _TARGET:
        raise BundleTargetError(
            f"{folder} was exported for target {manifest.target}, engines are built from bundles for {_TARGET}; "
            f"export it again with 'redvillm export ... --target {_TARGET}'"
        )
    names = _chosen(request.graphs, manifest)
    tasks = tuple(_task(name, folder, manifest, request) for name in names)
    for task in tasks:
        _check_bytes(folder, manifest, task.onnx.name)
    return tasks


def _task(name: str, folder: Path, manifest: Manifest, request: EngineRequest) -> EngineTask:
    options = EngineOptions(
        precision=engine_precision(manifest.precision.get(GRAPHS[name], "")),
        pooling=request.pooling if GRAPHS[name] == Graphs.VIDEO else "function",  # the others have nothing to pool
        frames=request.frames or _frames(name, manifest.dimensions.num_frames),
        flavour=request.flavour,
        architectures=request.architectures,
        workspace_mib=request.workspace_mib,
        optimization_level=request.optimization_level,
        timing_cache=request.timing_cache,
    )
    return EngineTask(name, folder / GRAPHS[name], request.out or folder / ENGINES, options)


def _frames(name: str, num_frames: int) -> FrameProfile:
    return FrameProfile(1, 1 if GRAPHS[name] == Graphs.VISION else min(_USUAL_FRAMES, num_frames), num_frames)


def _chosen(asked: tuple[str, ...] | None, manifest: Manifest) -> tuple[str, ...]:
    present = tuple(name for name, graph in GRAPHS.items() if graph in manifest.graphs)
    if asked is None:
        return present
    if missing := [name for name in asked if name not in present]:
        raise OptionsError(f"the bundle has no graph {missing[0]!r:.40} that could be an engine; legal are {', '.join(present)}")
    return tuple(dict.fromkeys(asked))


def _check_bytes(folder: Path, manifest: Manifest, graph: str) -> None:
    """The key of an engine names the bytes of its graph, so they must be those of the manifest."""
    for name in (graph, f"{graph}.data"):
        if name in manifest.files and not (folder / name).is_file():
            raise BundleFileError(f"{folder} lacks {name}; export the bundle again, or copy the whole folder")
        if name in manifest.files and sha256_of(folder / name) != manifest.files[name].sha256:
            raise BundleFileError(f"{folder / name} was altered: its sha256 is not the manifest's; export the bundle again")
