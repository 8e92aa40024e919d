"""The parts of the runtime that answer a question about a clip, called one after the other: what `Model.ask` runs, without its threads.

Knows the runtime; does not know questions' kinds or what is right.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from redvillm.errors import SourceFormatError
from redvillm.manifest import FitSpec, Graphs
from redvillm.runtime.bundle import open_bundle
from redvillm.runtime.clip import ClipPass
from redvillm.runtime.clip_pool import KernelClipPool
from redvillm.runtime.encoder import Aligner, VisionEncoder
from redvillm.runtime.evidence import VisualPrefix
from redvillm.runtime.language import LanguageModel
from redvillm.runtime.options import GenerationOptions
from redvillm.runtime.session import open_session
from redvillm.runtime.timings import Stopwatch
from redvillm.runtime.vision_session import open_vision_session
from redvillm.runtime.watch import Watcher

Pixels = NDArray[np.uint8]


class Engine:
    """A bundle, opened for evaluation. One owner thread."""

    def __init__(self, bundle: str, *, threads: int | None = None, num_frames: int | None = None, max_new_tokens: int = 32) -> None:
        """Open the bundle; every byte of it is checked.

        Raises:
            BundleError, BackendError, OptionsError: as `redvillm.load`.
        """
        opened = open_bundle(bundle, target="cpu", verify="sha256")
        folder, self.manifest = opened.folder, opened.manifest
        dimensions = self.manifest.dimensions
        encoder = VisionEncoder(open_vision_session(folder / Graphs.VISION, threads=threads), dimensions)
        aligner = Aligner(open_session(folder / Graphs.ALIGN, threads=threads), dimensions, self.manifest.graphs[Graphs.ALIGN])
        self._watcher = Watcher(encoder, aligner, KernelClipPool(dimensions.num_motion_tokens), self.manifest.frames)
        self._language = LanguageModel(folder, self.manifest, threads=threads, max_context_tokens=dimensions.max_context_tokens)
        self._num_frames = num_frames or dimensions.num_frames
        self._options = GenerationOptions(max_new_tokens=max_new_tokens)
        self._loaded: VisualPrefix | None = None

    @property
    def about(self) -> dict[str, str]:
        """What is asked, for the report."""
        precision = ", ".join(f"{graph}: {precision}" for graph, precision in self.manifest.precision.items())
        return {"model": self.manifest.name, "provider": self._language.provider, "precision": precision}

    def watch(self, clip: Path | Sequence[Pixels]) -> VisualPrefix:
        """Return the visual tokens of a video file, or of frames.

        Raises:
            SourceError: not there, or not a video.
        """
        return self._watcher.watch(clip, self._num_frames).prefix

    def frames(self, path: Path) -> Iterator[Pixels]:
        """Yield the frames of a video file that `watch` would look at, fitted."""
        return clip_frames(path, self._num_frames, self.manifest.frames)

    def answer(self, prefix: VisualPrefix, question: str) -> str:
        """Answer greedily."""
        self._load(prefix)
        return "".join(piece.text for piece in self._language.generate(question, self._options)).strip()

    def likelihood(self, prefix: VisualPrefix, question: str, answer: str) -> float:
        """Mean negative log-likelihood of an answer per token, nat."""
        self._load(prefix)
        return self._language.likelihood(question, answer)

    def _load(self, prefix: VisualPrefix) -> None:
        if self._loaded is not prefix:
            self._loaded = None
            self._language.prefill(*prefix.segments)
            self._loaded = prefix


def clip_frames(path: Path, num_frames: int, fit: FitSpec) -> Iterator[Pixels]:
    """Yield at most `num_frames` frames of a video file, evenly spread and fitted."""
    for frame in ClipPass(path, num_frames=num_frames, fit=fit, plan_duration_s=None, stopwatch=Stopwatch()):
        yield frame.pixels


def read_image(path: Path) -> Pixels:
    """Read an image as RGB uint8 [height, width, 3].

    Raises:
        SourceFormatError: not there, or not an image.
    """
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise SourceFormatError(f"{path} is not a readable image; frames of a question are images that OpenCV reads")
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), dtype=np.uint8)
