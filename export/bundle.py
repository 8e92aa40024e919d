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
from redvillm.export.align import export_align, export_video, export_video_from
from redvillm.export.checkpoint import find_checkpoint
from redvillm.export.checkpoint_plan import COSTS_OF_A_SMALL_LLM, SMALL_LLM, CheckpointOptions, checkpoint_plan
from redvillm.export.decoder import export_decoder
from redvillm.export.estimate import num_matrix_weights, planned_bytes
from redvillm.export.gguf_source import GgufSource
from redvillm.export.nano import nano_plan
from redvillm.export.parity import check_parity
from redvillm.export.plan import BundlePlan
from redvillm.export.targets import Precision, VisionChoice, choose_vision
from redvillm.export.vision import export_vision
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
_FREE_BYTES = 10_000_000  # that any export needs


def export_bundle(
    model: str,
    out: Path,
    *,
    target: str = "cpu",
    vision: Precision | None = None,
    calibration: tuple[Path, ...] = (),
    adapter: Path | None = None,
    force: bool = False,
    progress: Callable[[str], None] = lambda _: None,
    check: bool = True,
) -> Manifest:
    """Write the bundle of a model of the zoo for `target` to the folder `out`; `progress` gets one line a stage.

    The folder appears under its name when everything in it has been written and checked, and not before. The same weights and tools give
    the same bytes on the same machine. `adapter` is a file of `redvillm train` instead of the model's own. `vision` is the precision of
    vision.onnx, None for the target's own: int8 on cpu (where video.onnx stays in float32), fp16 on GPUs. `calibration` are images, videos or folders
    of images that 8 bits are fitted to, instead of those that come with the package. `check` = False leaves the parity gate
    out (and the manifest says so by an empty list).

    Raises:
        OptionsError: an unknown model, target or precision, or `out` exists and `force` is false.
        FetchError: a weight has not been fetched.
        ParityError: an exported stage differs from its reference.
        ExportError: anything else that stops the export.
        StorageError: the disk is full or not writable.
    """
    chosen = zoo.model_named(model)
    choice = choose_vision(target, vision, calibration)
    return _export(lambda: nano_plan(chosen, adapter), out, choice, force=force, progress=progress, check=check)


def export_checkpoint(
    name_or_folder: str,
    out: Path,
    options: CheckpointOptions,
    *,
    target: str = "cpu",
    vision: Precision | None = None,
    calibration: tuple[Path, ...] = (),
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
        plan = checkpoint_plan(checkpoint, options)
        if advice := precision_advice(plan, options.decoder):
            progress(advice)
        return plan

    return _export(load, out, choose_vision(target, vision, calibration), force=force, progress=progress, check=check)


def _export(
    load: Callable[[], BundlePlan],
    out: Path,
    choice: VisionChoice,
    *,
    force: bool,
    progress: Callable[[str], None],
    check: bool,
) -> Manifest:
    _check_place(out, force=force)
    _check_space(out, _FREE_BYTES)
    plan = load()
    _check_space(out, 2 * planned_bytes(plan, choice))
    with atomic_directory(out, replace=force) as folder:
        manifest = _write_bundle(plan, folder, choice, progress=progress, check=check)
        manifest.write(folder)
    progress(f"bundle written to {out} ({sum(spec.size_bytes for spec in manifest.files.values()) / 1e6:.0f} MB)")
    return manifest


def _write_bundle(plan: BundlePlan, folder: Path, choice: VisionChoice, *, progress: Callable[[str], None], check: bool) -> Manifest:
    dimensions = plan.dimensions
    precisions, graphs = _precisions(plan, choice), {}
    for name, words in precisions.items():
        progress(f"exporting {name} ({words})")
        graphs[name] = _write_graph(name, plan, folder, choice)
    progress(f"exporting {Graphs.DECODER} ({plan.decoder_precision})")
    context, tokenizer_json = plan.max_context_tokens, plan.tokenizer_json
    decoder = export_decoder(plan.source, folder, max_context_tokens=context, tokenizer_json=tokenizer_json, in_half=choice.form.half)
    graphs[Graphs.DECODER] = decoder.graph
    parity: tuple[ParityResult, ...] = ()
    if check:
        progress("comparing every stage with torch")
        parity = check_parity(folder, plan, choice)
        for result in parity:
            progress(f"  {result.stage}: {result.metric} {result.value:.4g} (limit {result.limit:g})")
        if Graphs.VIDEO in graphs and ort_library_path() is None:
            progress(f"  {Graphs.VIDEO} was compared without the custom op for ONNX Runtime: this redvillm was built without {ORT_LIBRARY_NAME}")
    return Manifest(
        schema_version=SCHEMA_VERSION,
        name=plan.name,
        family=plan.family,
        target=choice.target,
        precision={**precisions, Graphs.DECODER: plan.decoder_precision},
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


def _precisions(plan: BundlePlan, choice: VisionChoice) -> dict[str, str]:
    """The graphs before the LLM that a target gets, in the order in which they are written, each with its precision in words."""
    whole_clips = choice.form.whole_clips
    words = {Graphs.VISION: choice.words, Graphs.ALIGN: "float16" if _is_half(plan, choice) else "float32"}
    if plan.with_video if whole_clips is None else whole_clips:
        words[Graphs.VIDEO] = choice.words if whole_clips else "float32"
    return words


def _is_half(plan: BundlePlan, choice: VisionChoice) -> bool:
    """Whether the adapter computes in float16; one without weights computes nothing."""
    return choice.half and any(True for _ in plan.adapter.parameters())


def _write_graph(name: str, plan: BundlePlan, folder: Path, choice: VisionChoice) -> GraphSpec:
    if name == Graphs.VISION:
        return export_vision(plan.encoder, plan.fit, folder / name, choice)
    if name == Graphs.ALIGN:
        return export_align(plan.adapter, folder / name, half=_is_half(plan, choice))
    if choice.form.whole_clips:
        return export_video_from(folder / Graphs.VISION, plan.adapter, folder / name, half=choice.half)
    return export_video(plan.encoder, plan.adapter, plan.fit, folder / name)


def precision_advice(plan: BundlePlan, decoder: str) -> str | None:
    """Return a word of advice where a small LLM is about to lose much by 4 bits."""
    cost, better = (f"{100 * COSTS_OF_A_SMALL_LLM[name]:.1f} %" for name in (decoder, "int8"))
    if isinstance(plan.source, GgufSource) or not decoder.startswith("int4") or num_matrix_weights(plan.source.sizes) >= SMALL_LLM:
        return None
    return f"note: {decoder} raised the perplexity of a small LLM by {cost} where that was measured, int8 by {better}; choose with --llm"


def _check_place(out: Path, *, force: bool) -> None:
    if out.exists() and not force:
        raise OptionsError(f"{out} exists already; choose another --out, or replace it with --force")
    if out.exists() and not (out / MANIFEST_NAME).is_file() and (not out.is_dir() or any(out.iterdir())):
        raise OptionsError(f"{out} is not a bundle, so it is not replaced; choose another --out")


def _check_space(out: Path, needed_bytes: int) -> None:
    parent = next(folder for folder in out.absolute().parents if folder.exists())
    free_bytes = shutil.disk_usage(parent).free
    if free_bytes < needed_bytes:
        raise ExportError(f"{parent} has {free_bytes / 1e6:.0f} MB free, the export needs {needed_bytes / 1e6:.0f} MB; free some space")
