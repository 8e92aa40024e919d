"""Clips, fakes and streams for the tests of the runtime. None of them needs weights, onnx or a camera."""

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from fake_gpu import FakeGpu, build_driver

from redvillm.errors import QuestionError
from redvillm.kernels.streaming import StreamingPool
from redvillm.manifest import (
    PLAIN_ROTARY,
    SCHEMA_VERSION,
    Dimensions,
    Files,
    FitSpec,
    Graphs,
    GraphSpec,
    Manifest,
    PromptSpec,
    Tensors,
    TensorSpec,
    describe_files,
)
from redvillm.runtime.encoder import Aligner
from redvillm.runtime.gate import PassAllGate
from redvillm.runtime.language_worker import LanguageWorker
from redvillm.runtime.memory import ChunkMemory
from redvillm.runtime.opencv import load_cv2
from redvillm.runtime.source import make_source
from redvillm.runtime.stream import LiveStream
from redvillm.runtime.stream_options import StreamOptions
from redvillm.runtime.window import Window

NUM_FRAMES, NUM_PATCHES, WIDTH, LLM_WIDTH, NUM_MOTION, IMAGE_SIZE = 4, 4, 6, 10, 2, 16
FIT = FitSpec.square(IMAGE_SIZE)
DIMENSIONS = Dimensions(
    num_frames=NUM_FRAMES,
    num_patches=NUM_PATCHES,
    vision_width=WIDTH,
    llm_width=LLM_WIDTH,
    num_motion_tokens=NUM_MOTION,
    vocabulary_size=32,
    num_layers=1,
    num_kv_heads=1,
    head_width=8,
    max_context_tokens=64,
)


def _spec(name: str, *shape: int | str) -> TensorSpec:
    return TensorSpec(name=name, dtype="float32", shape=shape)


ALIGN_SPEC = GraphSpec(
    inputs=(
        _spec(Tensors.TEMPORAL_POOLING, NUM_PATCHES, WIDTH),
        _spec(Tensors.SPATIAL_POOLING, "num_frames", WIDTH),
        _spec(Tensors.MOTION_ENERGY, NUM_MOTION, NUM_PATCHES),
    ),
    outputs=(_spec(Tensors.VISUAL_TOKENS, "num_visual_tokens", LLM_WIDTH),),
)


class FakeEncoder:
    """Features that are the mean brightness of the frame, everywhere; `delay_s` per call; `error` is raised once set."""

    def __init__(self) -> None:
        self.delay_s = 0.0
        self.error: Exception | None = None
        self.num_frames = 0

    def encode(self, pixels):
        if self.error is not None:
            raise self.error
        time.sleep(self.delay_s)
        self.num_frames += len(pixels)
        brightness = pixels.reshape(len(pixels), -1).mean(axis=1, dtype=np.float64).astype(np.float32)
        return np.broadcast_to(brightness[:, None, None], (len(pixels), NUM_PATCHES, WIDTH)).copy()


class FakeVisionSession:
    """The fake encoder as a graph."""

    provider = "FakeExecutionProvider"

    def __init__(self) -> None:
        self._encoder = FakeEncoder()

    def run(self, output_names, feeds):
        assert output_names == [Tensors.FEATURES]
        return [self._encoder.encode(feeds[Tensors.PIXELS])]


class FakeAlignSession:
    """Visual tokens that repeat the first value of their row, in the order spatial, temporal, motion."""

    provider = "FakeExecutionProvider"

    def run(self, output_names, feeds):
        assert output_names == [Tensors.VISUAL_TOKENS]
        rows = [feeds[name][:, :1] for name in (Tensors.TEMPORAL_POOLING, Tensors.SPATIAL_POOLING, Tensors.MOTION_ENERGY) if name in feeds]
        return [np.repeat(np.concatenate(rows), LLM_WIDTH, axis=1).astype(np.float32)]


@dataclass(frozen=True)
class FakePiece:
    text: str
    token_id: int
    time_s: float
    finish: str | None
    drafted: bool = False


class FakeLanguage:
    """Answers `echo <question> about <number of tokens>`, one word per token; `delay_s` per token, `num_slices` of `slice_s` per prefill."""

    provider = "fake"
    threads = 1

    def __init__(self) -> None:
        self.delay_s = 0.0
        self.error: Exception | None = None
        self.prefilled: list[np.ndarray] = []
        self.thread_names: set[str] = set()
        self.drafts: list[tuple[int, ...]] = []
        self.probabilities = [0.5]
        self.num_slices, self.slice_s, self.num_cancelled = 1, 0.0, 0

    @property
    def prefix_length_tokens(self) -> int:
        return 3 + len(self.prefilled[-1])

    def try_prefill(self, segments, should_cancel) -> bool:
        self.thread_names.add(threading.current_thread().name)
        if self.error is not None:
            raise self.error
        for _ in range(self.num_slices):
            if should_cancel():
                self.num_cancelled += 1
                return False
            time.sleep(self.slice_s)
        self.prefilled.append(np.concatenate(segments))
        return True

    def generate(self, question, options, draft=()):
        self.thread_names.add(threading.current_thread().name)
        self.drafts.append(tuple(draft))
        words = f"echo {question} about {len(self.prefilled[-1])}".split()[: options.max_new_tokens]
        for index, word in enumerate(words):
            time.sleep(self.delay_s)
            if self.error is not None:
                raise self.error
            drafted = tuple(draft[: index + 1]) == tuple(range(index + 1))
            yield FakePiece(f"{word} ", index, time.perf_counter(), "stop" if index == len(words) - 1 else None, drafted)

    def judge(self, question):
        probability = self.probabilities.pop(0) if len(self.probabilities) > 1 else self.probabilities[0]
        return FakePiece("Yes" if probability >= 0.5 else "No", 0, time.perf_counter(), "stop"), probability

    def check_fits(self, question, num_visual_tokens, options) -> None:
        if not question.strip():
            raise QuestionError("the question is empty")


@pytest.fixture
def encoder() -> FakeEncoder:
    return FakeEncoder()


@pytest.fixture
def language() -> FakeLanguage:
    return FakeLanguage()


@pytest.fixture
def aligner() -> Aligner:
    return Aligner(FakeAlignSession(), DIMENSIONS, ALIGN_SPEC)


@pytest.fixture
def worker(language: FakeLanguage) -> Iterator[LanguageWorker]:
    worker = LanguageWorker(language)
    yield worker
    assert worker.close(), "the language thread did not end"


@pytest.fixture
def open_stream(encoder: FakeEncoder, aligner: Aligner, worker: LanguageWorker) -> Iterator[Callable[..., LiveStream]]:
    """Return a function that opens a live stream over fakes; streams are closed at the end."""
    streams: list[LiveStream] = []

    def open_with(source, *, gate=None, **options) -> LiveStream:
        values = StreamOptions(**{"rate_hz": 200.0, **options})
        stream = LiveStream(
            make_source(source, values.limits) if not hasattr(source, "grab") else source,
            values,
            encoder=encoder,
            window=Window(
                StreamingPool(NUM_FRAMES, NUM_PATCHES, WIDTH, NUM_MOTION, backend="reference"),
                NUM_FRAMES,
                ChunkMemory(values.memory_chunks) if values.window == "memory" else None,
            ),
            gate=gate or PassAllGate(),
            aligner=aligner,
            worker=worker,
            fit=FIT,
            max_frames=NUM_FRAMES,
        )
        streams.append(stream)
        return stream

    yield open_with
    for stream in streams:
        stream.close()


@pytest.fixture
def write_clip(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a clip of solid frames; frame i has brightness 20 + i * step."""

    def write(name="clip.avi", *, num_frames=20, width=64, height=48, fps=10.0, fourcc="MJPG", step=8, noise=False) -> Path:
        cv2 = load_cv2()
        path = tmp_path / name
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*fourcc), fps, (width, height))
        assert writer.isOpened(), "this cv2 cannot write the clip of the test"
        rng = np.random.default_rng(0)
        for index in range(num_frames):
            pixels = np.full((height, width, 3), (20 + index * step) % 256, np.uint8)
            writer.write(rng.integers(0, 255, pixels.shape, np.uint8) if noise else pixels)
        writer.release()
        return path

    return write


@pytest.fixture
def wait_for() -> Callable[..., None]:
    """Return a function that waits until a condition holds, and fails when it does not within ten seconds."""

    def wait(condition: Callable[[], object], what: str = "the condition") -> None:
        deadline_s = time.perf_counter() + 10
        while not condition():
            assert time.perf_counter() < deadline_s, f"{what} did not come about"
            time.sleep(0.005)

    return wait


@pytest.fixture
def fake_bundle(tmp_path: Path) -> Path:
    """A bundle whose manifest is right and whose graphs are not graphs."""
    folder = tmp_path / "bundle"
    folder.mkdir()
    for name in (Graphs.VISION, Graphs.ALIGN, Graphs.DECODER, Files.TOKENIZER):
        (folder / name).write_text(f"this is {name}")
    empty = GraphSpec(inputs=(), outputs=())
    Manifest(
        schema_version=SCHEMA_VERSION,
        name="fake",
        family="fake",
        target="cpu",
        precision={},
        dimensions=DIMENSIONS,
        frames=FIT,
        streams=("spatial", "temporal", "motion"),
        graphs={Graphs.VISION: empty, Graphs.ALIGN: ALIGN_SPEC, Graphs.DECODER: empty},
        files=describe_files(folder),
        prompt=PromptSpec(before="", between="", after="", stop_token_ids=(0,)),
        rotary=PLAIN_ROTARY,
        weights=(),
        parity=(),
        tools={},
    ).write(folder)
    return folder


@pytest.fixture
def fake_parts(monkeypatch: pytest.MonkeyPatch, language: FakeLanguage) -> FakeLanguage:
    """Make `load` put fakes where the graphs and the language model of a bundle go; returns the fake language model."""
    from redvillm.runtime import model

    sessions = {Graphs.VISION: FakeVisionSession, Graphs.ALIGN: FakeAlignSession}
    for opener in ("open_align", "open_vision"):
        monkeypatch.setattr(model, opener, lambda path, manifest, **_: sessions[path.name]())
    monkeypatch.setattr(model, "LanguageModel", lambda folder, manifest, **_: language)
    return language


@pytest.fixture(scope="session")
def fake_driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stand-in of libcuda, compiled once."""
    path = tmp_path_factory.mktemp("driver") / "libcuda.so.1"
    build_driver(path)
    return path


@pytest.fixture
def gpu(fake_driver: Path, tmp_path: Path) -> FakeGpu:
    """A machine with a GPU, as far as the runtime can tell: an SM87 with 1 GiB."""
    return FakeGpu(shutil.copy(fake_driver, tmp_path / "libcuda.so.1"))


@pytest.fixture
def machine(gpu: FakeGpu, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """That machine with TensorRT, and a bundle of tiny graphs for it: a tensorrt_machine.Machine."""
    pytest.importorskip("gguf")
    pytest.importorskip("onnx")
    import tiny_bundle
    from tensorrt_machine import Machine

    return Machine(gpu, tiny_bundle.write_bundle(tmp_path / "bundle"), monkeypatch)


@pytest.fixture
def sizes() -> SimpleNamespace:
    """The sizes of the fake model."""
    return SimpleNamespace(num_frames=NUM_FRAMES, num_patches=NUM_PATCHES, width=WIDTH, llm_width=LLM_WIDTH, num_motion=NUM_MOTION, fit=FIT)


@pytest.fixture
def dimensions() -> Dimensions:
    return DIMENSIONS


@pytest.fixture
def align_spec() -> GraphSpec:
    return ALIGN_SPEC
