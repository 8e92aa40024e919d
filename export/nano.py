"""The family of `redvillm-nano`: EfficientNet-Lite0, an adapter of redvillm, and an LLM in a GGUF file.

Knows which files make the model and how to read them; does not know bundles or graphs.
"""

from dataclasses import dataclass
from pathlib import Path

from redvillm import zoo
from redvillm.errors import ExportError
from redvillm.export.adapter import load_adapter, load_tuning
from redvillm.export.composition import SYSTEM_PROMPT, LanguageSide, VisionSide, plan_of_sides
from redvillm.export.efficientnet import load_efficientnet_lite0
from redvillm.export.plan import BundlePlan
from redvillm.files import sha256_of
from redvillm.manifest import WeightOrigin

FAMILY = "redvillm-nano"
MAX_FRAMES = 16
MAX_CONTEXT_TOKENS = 2048


@dataclass(frozen=True)
class NanoSources:
    """The three files of the model, and where each came from."""

    vision: Path
    llm: Path
    adapter: Path
    origins: tuple[WeightOrigin, ...]


def locate_sources(model: zoo.Model, own_adapter: Path | None = None) -> NanoSources:
    """Find the fetched weights of a model of the zoo, and the adapter that comes with the package or the user's own.

    Raises:
        ExportError: the adapter is missing from the package, or is no adapter.
        FetchError: a weight has not been fetched.
    """
    adapter = zoo.adapter_path(model) if own_adapter is None else own_adapter
    origin = _own_origin(adapter) if own_adapter is not None else (model.adapter, model.adapter_origin, model.adapter_licence)
    origins = [WeightOrigin(name=part.name, origin=part.origin, licence=part.licence, sha256=part.sha256) for part in zoo.parts_of(model.name)]
    name, source, licence = origin
    origins.append(WeightOrigin(name=name, origin=source, licence=licence, sha256=sha256_of(adapter)))
    return NanoSources(zoo.weights_path(model.vision), zoo.weights_path(model.llm), adapter, tuple(origins))


def _own_origin(adapter: Path) -> tuple[str, str, str]:
    if not adapter.is_file():
        raise ExportError(f"there is no adapter at {adapter}; 'redvillm train' writes one into its run folder")
    return adapter.name, "trained by the user", "as its training data"


def load_vision(sources: NanoSources) -> VisionSide:
    """Read encoder and adapter.

    Raises:
        ExportError: a file is not what it should be, or their widths differ.
    """
    return VisionSide(load_efficientnet_lite0(sources.vision), load_adapter(sources.adapter), load_tuning(sources.adapter))


def nano_plan(model: zoo.Model, own_adapter: Path | None = None) -> BundlePlan:
    """Return the plan of the bundle of a model of the zoo, perhaps with the user's own adapter. Its LLM is quantized already, and stays as it is.

    Raises:
        FetchError: a weight has not been fetched.
        ExportError: a file is not what it should be.
    """
    sources = locate_sources(model, own_adapter)
    return plan_of_sides(
        load_vision(sources),
        LanguageSide(sources.llm, SYSTEM_PROMPT),
        name=model.name,
        family=FAMILY,
        decoder_precision="int4 weights, float16 cache",
        origins=sources.origins,
        max_frames=MAX_FRAMES,
        max_context_tokens=MAX_CONTEXT_TOKENS,
    )
