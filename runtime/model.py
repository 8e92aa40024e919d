"""A loaded model: ask about a clip, or open a live stream.

Puts the bundle's graphs, the kernels and the language model together. Knows all parts; holds no logic of any.
"""

import dataclasses
import os
import time
import weakref
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Self, overload

from redvillm.errors import OptionsError, StreamClosedError
from redvillm.kernels.streaming import StreamingPool
from redvillm.manifest import Graphs, Manifest
from redvillm.runtime.answer import Answer
from redvillm.runtime.bundle import Bundle, Verify, open_bundle
from redvillm.runtime.clip_pool import KernelClipPool
from redvillm.runtime.encoder import Aligner, VisionEncoder
from redvillm.runtime.gate import Gate, PassAllGate, ThumbnailGate
from redvillm.runtime.language import LanguageModel
from redvillm.runtime.language_worker import LanguageWorker
from redvillm.runtime.memory import ChunkMemory
from redvillm.runtime.options import GenerationOptions
from redvillm.runtime.preprocess import check_filter
from redvillm.runtime.source import make_source
from redvillm.runtime.stream import LiveStream
from redvillm.runtime.stream_options import StreamOptions
from redvillm.runtime.target_sessions import open_align, open_vision
from redvillm.runtime.vision_session import VisionBackend
from redvillm.runtime.watch import Watcher
from redvillm.runtime.watched_clip import Clip
from redvillm.runtime.window import Window

ClipSpec = str | os.PathLike[str] | Iterable[Any]


class Model:
    """A Video LLM, loaded by `redvillm.load`. Use it from any thread; close it, or use it as a context manager."""

    def __init__(self, bundle: Bundle, *, threads: int | None = None, vision_backend: VisionBackend = "onnxruntime") -> None:
        """Load the graphs of a checked bundle; `threads` None uses what the machine has.

        Raises:
            BundleError: a graph or table that cannot be read.
            BackendError: no usable onnxruntime, openvino, TensorRT or GPU, or a provider that does not run.
            OptionsError: `threads` is not positive, or an unknown backend.
        """
        folder, self._manifest = bundle.folder, bundle.manifest
        dimensions = self._manifest.dimensions
        check_filter(self._manifest.frames)
        vision = open_vision(folder / Graphs.VISION, self._manifest, backend=vision_backend, threads=threads)
        align = open_align(folder / Graphs.ALIGN, self._manifest, threads=threads)
        self._vision_provider, self._align_provider = vision.provider, align.provider
        self._encoder = VisionEncoder(vision, dimensions)
        self._aligner = Aligner(align, dimensions, self._manifest.graphs[Graphs.ALIGN])
        self._watcher = Watcher(self._encoder, self._aligner, KernelClipPool(dimensions.num_motion_tokens), self._manifest.frames)
        self._worker = LanguageWorker(LanguageModel(folder, self._manifest, threads=threads, max_context_tokens=dimensions.max_context_tokens))
        self._streams: weakref.WeakSet[LiveStream] = weakref.WeakSet()
        self._closer = weakref.finalize(self, self._worker.close)  # also before the interpreter ends, while its threads still live

    @property
    def manifest(self) -> Manifest:
        """The manifest of the bundle."""
        return self._manifest

    @property
    def provider(self) -> str:
        """What the language model really runs on, as ONNX Runtime reports it."""
        return self._worker.provider

    @property
    def vision_provider(self) -> str:
        """What the vision encoder really runs on."""
        return self._vision_provider

    @property
    def providers(self) -> dict[str, str]:
        """What every graph really runs on, in words: "vision", "align" and "decoder"."""
        return {"vision": self._vision_provider, "align": self._align_provider, "decoder": self._worker.provider}

    @property
    def threads(self) -> int:
        """Threads of the graphs."""
        return self._worker.threads

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def watch(self, clip: ClipSpec, *, num_frames: int | None = None) -> Clip:
        """Watch a video file, or an iterable of frames uint8 [height, width, 3] RGB, through `num_frames` evenly spread frames.

        `num_frames` None takes as many as the window holds; a shorter clip is used whole.

        Raises:
            OptionsError: not a clip, or `num_frames` outside 1 to T.
            SourceNotFoundError, SourceFormatError: not there, not a video, or without a frame.
        """
        return Clip(self._watcher.watch(clip, self._num_frames(num_frames)), self._worker)

    def check_question(self, question: str, *, num_frames: int | None = None, options: GenerationOptions | None = None) -> None:
        """Check a question before anything is opened.

        Raises:
            QuestionError: empty, too long or not valid text.
            ContextOverflowError: prompt and answer do not fit the decoder's context.
            OptionsError: `num_frames` outside 1 to T.
        """
        self._worker.check_fits(question, self._aligner.num_visual_tokens(self._num_frames(num_frames)), options or GenerationOptions())

    @overload
    def ask(self, clip: ClipSpec, question: str, *, num_frames: int | None = ..., options: GenerationOptions | None = ...) -> Answer: ...

    @overload
    def ask(
        self, clip: ClipSpec, question: list[str] | tuple[str, ...], *, num_frames: int | None = ..., options: GenerationOptions | None = ...
    ) -> list[Answer]: ...

    def ask(
        self, clip: ClipSpec, question: str | list[str] | tuple[str, ...], *, num_frames: int | None = None, options: GenerationOptions | None = None
    ) -> Answer | list[Answer]:
        """Watch `clip` and ask one question, or several that share its visual prefix; returns when the clip has been watched.

        Raises:
            As `watch` and `Clip.ask`; questions are checked before the clip is opened.
        """
        asked_s = time.perf_counter()
        options = options or GenerationOptions()
        questions = list(question) if isinstance(question, list | tuple) else [question]
        for one in questions:
            self.check_question(one, num_frames=num_frames, options=options)
        watched = self.watch(clip, num_frames=num_frames)
        answers = [watched.ask_since(one, options, asked_s if index == 0 else time.perf_counter()) for index, one in enumerate(questions)]
        return answers[0] if isinstance(question, str) else answers

    def open(self, source: Any, *, rate_hz: float | None = None, options: StreamOptions | None = None) -> LiveStream:
        """Open a live stream: a camera index, a device path, a file, a trace, an address or an iterable of RGB frames.

        `rate_hz` is short for that field of `options`.

        Raises:
            OptionsError: not a source, or an option outside its legal values.
            ContextOverflowError: a window with a memory that leaves no room for a question.
            SourceError: the source cannot be opened (its subclass says why).
            StorageError: the recording cannot be written.
            StreamClosedError: the model was closed.
        """
        if not self._closer.alive:
            raise StreamClosedError("the model was closed; load it again to open a stream")
        options = options or StreamOptions()
        if rate_hz is not None:
            options = dataclasses.replace(options, rate_hz=rate_hz)
        dimensions = self._manifest.dimensions
        pool = StreamingPool(dimensions.num_frames, dimensions.num_patches, dimensions.vision_width, dimensions.num_motion_tokens)
        stream = LiveStream(
            make_source(source, options.limits),
            options,
            encoder=self._encoder,
            window=Window(pool, dimensions.num_frames, ChunkMemory(options.memory_chunks) if options.window == "memory" else None),
            gate=_make_gate(options),
            aligner=self._aligner,
            worker=self._worker,
            fit=self._manifest.frames,
            max_frames=dimensions.num_frames,
        )
        self._streams.add(stream)
        return stream

    def close(self) -> None:
        """Close the model and its streams, and end its threads within about a second; harmless when repeated."""
        for stream in list(self._streams):
            stream.close()
        self._closer()

    def _num_frames(self, num_frames: int | None) -> int:
        longest = self._manifest.dimensions.num_frames
        if num_frames is None:
            return longest
        if isinstance(num_frames, bool) or not isinstance(num_frames, int) or not 1 <= num_frames <= longest:
            raise OptionsError(f"num_frames is {num_frames!r:.40}; this bundle takes 1 to {longest} frames")
        return num_frames


def _make_gate(options: StreamOptions) -> Gate:
    if options.gate == "none":
        return PassAllGate()
    return ThumbnailGate(threshold=options.gate_threshold, refresh_s=options.refresh_s, by_clip_time=options.speed == "max")


def load(
    name_or_folder: str | os.PathLike[str],
    *,
    target: str = "cpu",
    threads: int | None = None,
    verify: Verify = "sha256",
    vision_backend: VisionBackend = "onnxruntime",
) -> Model:
    """Load a bundle: a folder, or the name of a model that was exported into the user's cache.

    Args:
        name_or_folder: a bundle's folder, or a name such as 'redvillm-nano'.
        target: the target that the bundle must have been exported for.
        threads: threads of the graphs; None uses what the machine has.
        verify: 'sha256' reads every byte of the bundle, 'sizes' only compares sizes.
        vision_backend: what runs the vision encoder of a bundle for the CPU, 'onnxruntime' or 'openvino' (extra `openvino`).

    Raises:
        BundleError: no bundle there, or an altered, unreadable or unfit one, or one without an engine for this machine (its subclass says which).
        BackendError: a library that is missing or a provider that does not run.
        OptionsError: an illegal argument.
    """
    return Model(open_bundle(name_or_folder, target=target, verify=verify), threads=threads, vision_backend=vision_backend)
