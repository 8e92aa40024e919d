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
from redvillm.export.decoder import DecoderReport, export_decoder
from redvillm.export.llama import load_llama
from redvillm.export.nano import FAMILY, MAX_CONTEXT_TOKENS, MAX_FRAMES, SYSTEM_PROMPT, NanoSources, NanoVision, load_vision, locate_sources
from redvillm.export.parity import Reference, check_parity
from redvillm.export.vision import DESCRIPTIONS, Precision, check_precision, export_vision
from redvillm.files import atomic_directory
from redvillm.kernels.ort_library import ORT_LIBRARY_NAME, ort_library_path
from redvillm.manifest import (
    MANIFEST_NAME,
    SCHEMA_VERSION,
    STREAMS,
    TARGETS,
    Dimensions,
    Files,
    Graphs,
    GraphSpec,
    Manifest,
    ParityResult,
    PromptSpec,
    describe_files,
)
from redvillm.prompt import Prompt

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
    """Write the bundle of `model` for `target` to the folder `out`; `progress` gets one line a stage.

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
    _check_target(target)
    check_precision(vision)
    chosen = zoo.model_named(model)
    _check_place(out, force=force)
    sources = locate_sources(chosen, adapter)
    with atomic_directory(out, replace=force) as folder:
        manifest = _export_nano(chosen.name, sources, folder, target, precision=vision, progress=progress, check=check)
        manifest.write(folder)
    progress(f"bundle written to {out} ({sum(spec.size_bytes for spec in manifest.files.values()) / 1e6:.0f} MB)")
    return manifest


def _export_nano(
    name: str, sources: NanoSources, folder: Path, target: str, *, precision: Precision, progress: Callable[[str], None], check: bool
) -> Manifest:
    progress("reading the vision encoder and the adapter")
    vision = load_vision(sources)
    progress(f"exporting {Graphs.DECODER} (4-bit values kept as they are)")
    decoder = export_decoder(sources.llm, folder, max_context_tokens=MAX_CONTEXT_TOKENS, tuning=vision.tuning)
    dimensions = _dimensions(vision, decoder)
    graphs = {Graphs.DECODER: decoder.graph, **_export_vision_graphs(vision, folder, precision, progress)}
    parity: tuple[ParityResult, ...] = ()
    if check:
        progress("comparing every stage with torch")
        reference = Reference(vision.encoder, vision.adapter, load_llama(sources.llm, tuning=vision.tuning))
        prompt = Prompt.from_files(folder / Files.TOKENIZER, folder / Files.CHAT_TEMPLATE, SYSTEM_PROMPT)
        parity = check_parity(folder, reference, prompt, dimensions, precision)
        for result in parity:
            progress(f"  {result.stage}: {result.metric} {result.value:.4g} (limit {result.limit:g})")
        if ort_library_path() is None:
            progress(f"  {Graphs.VIDEO} was compared without the custom op for ONNX Runtime: this redvillm was built without {ORT_LIBRARY_NAME}")
    return Manifest(
        schema_version=SCHEMA_VERSION,
        name=name,
        family=FAMILY,
        target=target,
        precision={
            Graphs.VISION: DESCRIPTIONS[precision],
            Graphs.VIDEO: "float32",
            Graphs.ALIGN: "float32",
            Graphs.DECODER: "int4 weights, float16 cache",
        },
        dimensions=dimensions,
        streams=STREAMS,
        graphs=dict(sorted(graphs.items())),
        files=describe_files(folder),
        prompt=PromptSpec(system=SYSTEM_PROMPT, stop_token_ids=decoder.stop_token_ids),
        weights=sources.origins,
        parity=parity,
        tools={**{tool: metadata.version(tool) for tool in _TOOLS}, "python": sys.version.split()[0]},
    )


def _export_vision_graphs(vision: NanoVision, folder: Path, precision: Precision, progress: Callable[[str], None]) -> dict[str, GraphSpec]:
    graphs = {}
    progress(f"exporting {Graphs.VISION} ({DESCRIPTIONS[precision]})")
    graphs[Graphs.VISION] = export_vision(vision.encoder, vision.image_size, folder / Graphs.VISION, precision=precision)
    progress(f"exporting {Graphs.ALIGN}")
    graphs[Graphs.ALIGN] = export_align(vision.adapter, folder / Graphs.ALIGN)
    progress(f"exporting {Graphs.VIDEO}")
    graphs[Graphs.VIDEO] = export_video(vision.encoder, vision.adapter, vision.image_size, folder / Graphs.VIDEO)
    return graphs


def _dimensions(vision: NanoVision, decoder: DecoderReport) -> Dimensions:
    sizes = vision.adapter.options
    if sizes.llm_width != decoder.llm_width:
        raise ExportError(f"the adapter is made for an LLM of width {sizes.llm_width}, this one has {decoder.llm_width}; train an adapter for it")
    return Dimensions(
        num_frames=MAX_FRAMES,
        num_patches=sizes.num_patches,
        vision_width=sizes.vision_width,
        llm_width=sizes.llm_width,
        num_motion_tokens=sizes.num_motion_tokens,
        image_size=vision.image_size,
        vocabulary_size=decoder.vocabulary_size,
        num_layers=decoder.num_layers,
        num_kv_heads=decoder.num_kv_heads,
        head_width=decoder.head_width,
        max_context_tokens=MAX_CONTEXT_TOKENS,
    )


def _check_target(target: str) -> None:
    if target not in TARGETS:
        raise OptionsError(f"{target!r} is not a target; legal targets are {', '.join(TARGETS)}")
    if target != "cpu":
        raise ExportError(f"{FAMILY} can be exported for target cpu only in this version, not for {target}; use --target cpu")


def _check_place(out: Path, *, force: bool) -> None:
    if out.exists() and not force:
        raise OptionsError(f"{out} exists already; choose another --out, or replace it with --force")
    if out.exists() and not (out / MANIFEST_NAME).is_file() and (not out.is_dir() or any(out.iterdir())):
        raise OptionsError(f"{out} is not a bundle, so it is not replaced; choose another --out")
    parent = next(folder for folder in out.absolute().parents if folder.exists())
    free_bytes = shutil.disk_usage(parent).free
    if free_bytes < _NEEDED_FREE_BYTES:
        raise ExportError(f"{parent} has {free_bytes / 1e6:.0f} MB free, the export needs {_NEEDED_FREE_BYTES / 1e6:.0f} MB; free some space")
