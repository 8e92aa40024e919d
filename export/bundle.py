"""The export of a whole bundle: locate, export each graph, check parity, describe, and only then give the folder its name.

Joins the parts of export; knows targets and refuses the ones it cannot build.
"""

import shutil
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

from redvillm import zoo
from redvillm.errors import ExportError, OptionsError
from redvillm.export.align import export_align, export_video
from redvillm.export.checkpoint import find_checkpoint
from redvillm.export.checkpoint_plan import CheckpointOptions, checkpoint_plan
from redvillm.export.decoder import export_decoder
from redvillm.export.nano import nano_plan
from redvillm.export.parity import check_parity
from redvillm.export.plan import BundlePlan
from redvillm.export.targets import check_target
from redvillm.export.vision import DESCRIPTIONS, Precision, check_precision, export_vision
from redvillm.files import atomic_directory
from redvillm.kernels.ort_library import ORT_LIBRARY_NAME, ort_library_path
from redvillm.manifest import (
    MANIFEST_NAME,
    SCHEMA_VERSION,
    STREAMS,
    Graphs,
    GraphSpec,
    Manifest,
    ParityResult,
    describe_files,
)

_TOOLS = ("redvillm", "torch", "onnx", "onnxscript", "onnxruntime", "transformers", "gguf")
_NEEDED_FREE_BYTES = 400_000_000


def export_bundle(
    model: str,
    out: Path,
    *,
    target: str = "cpu",
    vision: Precision = "int8",
    adapter: Path | None = None,
    force: bool = False,
    progress: Callable[[str], None] = lambda _: None,
    check: bool = True,
) -> Manifest:
    """Write the bundle of a model of the zoo for `target` to the folder `out`; `progress` gets one line a stage.

    The folder appears under its name when everything in it has been written and checked, and not before. The same weights and tools give
    the same bytes on the same machine. `adapter` is a file of `redvillm train` instead of the model's own. `vision` is the precision of
    vision.onnx; video.onnx stays in float32. `check` = False leaves the parity gate out (and the manifest says so by an empty list).

    Raises:
        OptionsError: an unknown model, target or precision, or `out` exists and `force` is false.
        FetchError: a weight has not been fetched.
        ParityError: an exported stage differs from its reference.
        ExportError: anything else that stops the export.
        StorageError: the disk is full or not writable.
    """
    chosen = zoo.model_named(model)
    return _export(lambda: nano_plan(chosen, adapter), out, target=target, vision=vision, force=force, progress=progress, check=check)


def export_checkpoint(
    name_or_folder: str,
    out: Path,
    options: CheckpointOptions,
    *,
    target: str = "cpu",
    vision: Precision = "int8",
    force: bool = False,
    progress: Callable[[str], None] = lambda _: None,
    check: bool = True,
) -> Manifest:
    """Write the bundle of an Image LLM, a folder or a name on the Hugging Face hub; otherwise as `export_bundle`.

    Raises:
        As `export_bundle`.
    """

    def load() -> BundlePlan:
        checkpoint = find_checkpoint(name_or_folder)
        progress(f"reading the checkpoint {checkpoint.folder}")
        return checkpoint_plan(checkpoint, options)

    return _export(load, out, target=target, vision=vision, force=force, progress=progress, check=check)


def _export(
    load: Callable[[], BundlePlan],
    out: Path,
    *,
    target: str,
    vision: Precision,
    force: bool,
    progress: Callable[[str], None],
    check: bool,
) -> Manifest:
    check_target(target)
    check_precision(vision)
    _check_place(out, force=force)
    plan = load()
    with atomic_directory(out, replace=force) as folder:
        manifest = _write_bundle(plan, folder, target=target, vision=vision, progress=progress, check=check)
        manifest.write(folder)
    progress(f"bundle written to {out} ({sum(spec.size_bytes for spec in manifest.files.values()) / 1e6:.0f} MB)")
    return manifest


def _write_bundle(plan: BundlePlan, folder: Path, *, target: str, vision: Precision, progress: Callable[[str], None], check: bool) -> Manifest:
    dimensions = plan.dimensions
    progress(f"exporting {Graphs.DECODER} ({plan.decoder_precision})")
    decoder = export_decoder(plan.source, folder, max_context_tokens=plan.max_context_tokens, tokenizer_json=plan.tokenizer_json)
    graphs = {Graphs.DECODER: decoder.graph, **_write_vision_graphs(plan, folder, vision, progress)}
    parity: tuple[ParityResult, ...] = ()
    if check:
        progress("comparing every stage with torch")
        parity = check_parity(folder, plan, vision)
        for result in parity:
            progress(f"  {result.stage}: {result.metric} {result.value:.4g} (limit {result.limit:g})")
        if plan.with_video and ort_library_path() is None:
            progress(f"  {Graphs.VIDEO} was compared without the custom op for ONNX Runtime: this redvillm was built without {ORT_LIBRARY_NAME}")
    return Manifest(
        schema_version=SCHEMA_VERSION,
        name=plan.name,
        family=plan.family,
        target=target,
        precision={
            Graphs.VISION: DESCRIPTIONS[vision],
            **({Graphs.VIDEO: "float32"} if plan.with_video else {}),
            Graphs.ALIGN: "float32",
            Graphs.DECODER: plan.decoder_precision,
        },
        dimensions=dimensions,
        frames=plan.fit,
        streams=STREAMS if dimensions.num_motion_tokens else STREAMS[:2],
        graphs=dict(sorted(graphs.items())),
        files=describe_files(folder),
        prompt=plan.prompt,
        rotary=plan.rotary,
        weights=plan.origins,
        parity=parity,
        tools={**{tool: metadata.version(tool) for tool in _TOOLS}, "python": sys.version.split()[0]},
    )


def _write_vision_graphs(plan: BundlePlan, folder: Path, vision: Precision, progress: Callable[[str], None]) -> dict[str, GraphSpec]:
    graphs = {}
    progress(f"exporting {Graphs.VISION} ({DESCRIPTIONS[vision]})")
    graphs[Graphs.VISION] = export_vision(plan.encoder, plan.fit, folder / Graphs.VISION, precision=vision)
    progress(f"exporting {Graphs.ALIGN}")
    graphs[Graphs.ALIGN] = export_align(plan.adapter, folder / Graphs.ALIGN)
    if plan.with_video:
        progress(f"exporting {Graphs.VIDEO}")
        graphs[Graphs.VIDEO] = export_video(plan.encoder, plan.adapter, plan.fit, folder / Graphs.VIDEO)
    return graphs


def _check_place(out: Path, *, force: bool) -> None:
    if out.exists() and not force:
        raise OptionsError(f"{out} exists already; choose another --out, or replace it with --force")
    if out.exists() and not (out / MANIFEST_NAME).is_file() and (not out.is_dir() or any(out.iterdir())):
        raise OptionsError(f"{out} is not a bundle, so it is not replaced; choose another --out")
    parent = next(folder for folder in out.absolute().parents if folder.exists())
    free_bytes = shutil.disk_usage(parent).free
    if free_bytes < _NEEDED_FREE_BYTES:
        raise ExportError(f"{parent} has {free_bytes / 1e6:.0f} MB free, the export needs {_NEEDED_FREE_BYTES / 1e6:.0f} MB; free some space")
