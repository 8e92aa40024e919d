"""TensorRT engines out of the graphs of a bundle.

    report = build_engine(bundle / "video.onnx", EngineOptions(precision="float32", architectures=("SM86", "SM89")))

Needs TensorRT and nothing else of the export half: an engine of the enterprise library is built on the device that runs it, where there is no torch.
Knows the order of things; `engine_build` does the work, in a process of its own.
"""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from redvillm.engine_key import EngineKey, FrameProfile
from redvillm.errors import ExportError
from redvillm.export.engine_options import BuildProgress, EngineOptions, EngineReport, Existing, LayerInfo
from redvillm.export.engine_process import run_worker
from redvillm.manifest import ENGINES, GraphSpec, TensorSpec

__all__ = ["BuildProgress", "EngineOptions", "EngineReport", "Existing", "LayerInfo", "build_engine"]


def build_engine(
    onnx: Path,
    options: EngineOptions,
    *,
    folder: Path | None = None,
    existing: Existing = "replace",
    progress: Callable[[BuildProgress], None] = lambda _: None,
) -> EngineReport:
    """Build an engine from an ONNX file, in a process of its own; engine and key appear when they are complete.

    Args:
        onnx: the graph; external data must lie beside it.
        options: how to build.
        folder: where the engine goes, under a name made of its key; None for `engines` beside the graph.
        existing: "replace" an engine with the same key, "keep" one that is whole, or "check" only: the graph is parsed and nothing is built.
        progress: called with every finished step of TensorRT, in the calling thread.

    Raises:
        BackendError: no usable TensorRT, or no GPU where one is needed.
        OptionsError: options that this TensorRT does not have.
        ExportError: TensorRT refused the graph, aborted or took too long, or the graph is not what the options say.
        StorageError: the disk is full or not writable.
    """
    if not onnx.is_file():
        raise ExportError(f"{onnx} is not there; export a bundle first, or give the path of an ONNX file")
    content = asdict(options)
    for name in ("timing_cache", "aot_ptx"):
        content[name] = None if content[name] is None else str(Path(content[name]).absolute())
    task = {"onnx": str(onnx.absolute()), "folder": str((folder or onnx.parent / ENGINES).absolute()), "options": content, "existing": existing}
    report = run_worker(task, lambda step: progress(BuildProgress(**step)), timeout_s=options.timeout_s)
    key = report.pop("key")
    graph = report.pop("graph")
    return EngineReport(
        path=Path(report.pop("path")),
        key=EngineKey(**{**key, "architectures": tuple(key["architectures"]), "frames": FrameProfile(**key["frames"])}),
        graph=GraphSpec(**{side: tuple(TensorSpec(**{**spec, "shape": tuple(spec["shape"])}) for spec in graph[side]) for side in graph}),
        pooling_layers=tuple(LayerInfo(**layer) for layer in report.pop("pooling_layers")),
        layers=tuple(LayerInfo(**layer) for layer in report.pop("layers")),
        warnings=tuple(report.pop("warnings")),
        **report,
    )
