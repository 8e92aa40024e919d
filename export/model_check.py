"""What the checks of a checkpoint of a family and of a model that was put together have in common: their form, and what both look at.

Knows files of weights and sizes; does not know where a model is taken apart.
"""

import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from safetensors import SafetensorError, safe_open

from redvillm.errors import ExportError
from redvillm.export.decoder_graph import check_sizes
from redvillm.export.decoder_sizes import DecoderSizes
from redvillm.export.estimate import ModelSize
from redvillm.export.float_quantization import WeightFormat

Check = tuple[str, Callable[[], str], bool]  # name, what looks and says what it found, whether nothing can be said after its failure
_ZIP_START = b"PK\x03\x04"


class ModelCheck(Protocol):
    """What is checked of a model once it is known of which kind it is."""

    @property
    def checks(self) -> tuple[Check, ...]:
        """In the order in which they must be made; after the last one, `size` and `decoder_forms` are there."""

    @property
    def size(self) -> ModelSize:
        """Its size; AttributeError as long as it could not be told."""

    @property
    def decoder_forms(self) -> Mapping[str, WeightFormat]:
        """Precisions that the LLM can get, by their names in words."""


def check_weights(files: Sequence[Path]) -> str:
    """Check that files of weights are whole, as far as their headers tell, and return how many and how large they are.

    Raises:
        ExportError: one is damaged.
    """
    for path in files:
        _check_whole(path)
    return f"{len(files)} file{'s' * (len(files) > 1)} of {sum(path.stat().st_size for path in files) / 1e6:.0f} MB"


def check_decoder(sizes: DecoderSizes, origin: str) -> str:
    """Check that the decoder's graph can have these sizes and return them in words.

    Raises:
        ExportError: it cannot.
    """
    check_sizes(sizes, origin)
    return f"{sizes.num_layers} layers of width {sizes.width}, {sizes.num_heads} heads, context {sizes.max_context_tokens}"


def _check_whole(path: Path) -> None:
    """The header of safetensors says how long the file is; the directory of a zip archive, which torch's pickles lie in, is at its end."""
    try:
        if path.suffix == ".safetensors":
            with safe_open(path, framework="pt") as archive:
                archive.keys()
        elif _starts_as_zip(path):
            zipfile.ZipFile(path).close()
    except (OSError, SafetensorError, zipfile.BadZipFile) as error:
        raise ExportError(f"{path} is damaged ({error}); fetch it again") from error


def _starts_as_zip(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(len(_ZIP_START)) == _ZIP_START
