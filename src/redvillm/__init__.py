"""Edge runtime of RED-VILLM (arXiv 2404.11865): ask questions about a video or a live camera.

    model = redvillm.load("redvillm-nano")
    print(model.ask("clip.mp4", "What is happening?").text)

This is the one public door. Everything behind it is imported when it is first used, so that `import redvillm` needs no onnxruntime and
no OpenCV.
"""

import importlib
from typing import TYPE_CHECKING, Any

from redvillm.errors import (
    BackendError,
    BundleError,
    BundleFileError,
    BundleSchemaError,
    BundleTargetError,
    ChecksumError,
    ContextOverflowError,
    ExportError,
    FetchError,
    OfflineError,
    OptionsError,
    ParityError,
    QuestionError,
    RedvillmError,
    SourceError,
    SourceFormatError,
    SourceLostError,
    SourceNotFoundError,
    StorageError,
    StreamClosedError,
)

if TYPE_CHECKING:
    from redvillm.runtime.answer import Answer
    from redvillm.runtime.evidence import Evidence
    from redvillm.runtime.model import Model, load
    from redvillm.runtime.options import GenerationOptions
    from redvillm.runtime.stream import LiveStream
    from redvillm.runtime.stream_options import StreamOptions
    from redvillm.runtime.timings import Timings
    from redvillm.runtime.watched_clip import Clip

__all__ = [
    "Answer",
    "BackendError",
    "BundleError",
    "BundleFileError",
    "BundleSchemaError",
    "BundleTargetError",
    "ChecksumError",
    "Clip",
    "ContextOverflowError",
    "Evidence",
    "ExportError",
    "FetchError",
    "GenerationOptions",
    "LiveStream",
    "Model",
    "OfflineError",
    "OptionsError",
    "ParityError",
    "QuestionError",
    "RedvillmError",
    "SourceError",
    "SourceFormatError",
    "SourceLostError",
    "SourceNotFoundError",
    "StorageError",
    "StreamClosedError",
    "StreamOptions",
    "Timings",
    "load",
]

_HOMES = {
    "Answer": "answer",
    "Clip": "watched_clip",
    "Evidence": "evidence",
    "GenerationOptions": "options",
    "LiveStream": "stream",
    "Model": "model",
    "StreamOptions": "stream_options",
    "Timings": "timings",
    "load": "model",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"redvillm.runtime.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
