"""Runs the comparison: weights and environments made ready, each part sampled in turn, figures put together.

Knows the catalogue, tasks and samples; does not know how an engine works.
"""

import json
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from redvillm import zoo
from redvillm.benchmarks.bandwidth import Bandwidth, measure_bandwidth
from redvillm.benchmarks.bench import measure
from redvillm.benchmarks.machine import describe_machine
from redvillm.benchmarks.peers.artifacts import WORKERS, Artifacts
from redvillm.benchmarks.peers.catalogue import BUNDLE, PEERS, REFERENCE, Part, Peer
from redvillm.benchmarks.peers.environment import ENVIRONMENTS, Environments
from redvillm.benchmarks.peers.report import LANGUAGE, VISION, PeerFigures, PeersReport, figures_of, token_agreement
from redvillm.benchmarks.peers.request import PeersRequest
from redvillm.benchmarks.peers.sampling import Sampled, Start, locked, sample_in_turn
from redvillm.benchmarks.process import WorkerProcess
from redvillm.benchmarks.report import Report
from redvillm.benchmarks.requests import BenchRequest
from redvillm.errors import RedvillmError
from redvillm.export.nano import locate_sources
from redvillm.manifest import Files
from redvillm.prompt import Prompt
from redvillm.runtime.bundle import Bundle, open_bundle
from redvillm.runtime.clip import ClipPass
from redvillm.runtime.timings import Stopwatch

_NUM_FRAMES = 16
_MARGIN_TOKENS = 64
_STRIDE_TOKENS = 37


class Comparison:
    """One run of a request."""

    def __init__(self, request: PeersRequest, progress: Callable[[str], object]) -> None:
        """Find bundle, weights and clip.

        Raises:
            BundleError: no such bundle.
            FetchError: its weights have not been fetched.
            SourceError: the clip cannot be read.
        """
        self._request = request
        self._progress = progress
        self._bundle: Bundle = open_bundle(request.bundle, target="cpu", verify="sizes")
        sources = locate_sources(zoo.model_named(self._bundle.manifest.name))
        self._frames = self._read_frames()
        may_install = request.environments is None
        self._environments = Environments(request.environments or request.folder / "environments", may_install=may_install)
        self._artifacts = Artifacts(request.folder / "weights", sources, self._environments, frames=self._frames, threads=request.threads)

    def run(self) -> PeersReport:
        """Measure every part that was asked for."""
        request = self._request
        bandwidth = self._bandwidth()
        language: tuple[PeerFigures, ...] = ()
        if "language" in request.parts:
            sampled, agreements = self._language()
            bandwidth = max(bandwidth, self._bandwidth(), key=lambda found: found.bytes_per_s)  # a slow moment would flatter every share
            language = tuple(figures_of(one, LANGUAGE, bandwidth=bandwidth, agreement=agreements[one.name]) for one in sampled)
        vision = self._vision() if "vision" in request.parts else ()
        whole, whole_reason = self._whole() if "whole" in request.parts else (None, None)
        return PeersReport(
            machine=describe_machine(),
            threads=request.threads,
            rounds=request.rounds,
            context_tokens=request.context_tokens,
            question_tokens=request.question_tokens,
            num_new_tokens=request.num_new_tokens,
            bandwidth=bandwidth,
            language=language,
            vision=vision,
            whole=whole,
            whole_reason=whole_reason,
        )

    def _bandwidth(self) -> Bandwidth:
        with locked(self._request.lock):
            return measure_bandwidth(self._request.threads)

    def _language(self) -> tuple[list[Sampled], dict[str, float | None]]:
        """Return the samples, and for each engine the share of leading tokens equal to the reference's."""
        request = self._request
        tasks = []
        for ids in self._texts(request.warmup + request.rounds, request.context_tokens + request.question_tokens):
            context, question = ids[: request.context_tokens], ids[request.context_tokens :]
            tasks.append({"context": context, "question": question, "num_new_tokens": request.num_new_tokens})
        sampled = self._sample("language", tasks)
        tokens = {one.name: [record["tokens"] for record in one.records] for one in sampled}
        wanted = tokens.get(REFERENCE["language"])
        return sampled, {one.name: token_agreement(tokens[one.name], wanted) if wanted and one.records else None for one in sampled}

    def _vision(self) -> tuple[PeerFigures, ...]:
        request = self._request
        with tempfile.TemporaryDirectory() as place:
            pixels = Path(place) / "pixels.npy"
            np.save(pixels, self._frames)
            tasks = [{"pixels": str(pixels)}] * (request.warmup + request.rounds)
            features = {peer.name: Path(place) / f"{index}.npy" for index, peer in enumerate(self._peers("vision"))}
            sampled = self._sample("vision", tasks, {name: {"features": str(path)} for name, path in features.items()})
            found = {name: np.load(path, allow_pickle=False) for name, path in features.items() if path.exists()}
        wanted = found.get(REFERENCE["vision"])
        agreements = {name: None if wanted is None else _mean_cosine(values, wanted) for name, values in found.items()}
        return tuple(figures_of(one, VISION, bandwidth=None, agreement=agreements.get(one.name)) for one in sampled)

    def _whole(self) -> tuple[Report | None, str | None]:
        request = self._request
        asked = BenchRequest(
            bundle=request.bundle,
            clip=request.clip,
            question="What is happening in the video?",
            num_frames=_NUM_FRAMES,
            max_new_tokens=32,
            runs=request.rounds,
            warmup=request.warmup,
            threads=request.threads,
            peers=("transformers",),
        )
        try:
            return measure(asked), None
        except RedvillmError as error:
            return None, str(error)

    def _peers(self, part: Part) -> list[Peer]:
        wanted = self._request.peers
        return [peer for peer in PEERS if peer.part == part and (not wanted or peer.name in wanted or peer.name == "redvillm")]

    def _sample(self, part: Part, tasks: Sequence[Mapping[str, Any]], own: dict[str, dict[str, str]] | None = None) -> list[Sampled]:
        peers, unavailable = self._peers(part), dict[str, str]()
        starts: dict[str, Start] = {}
        for peer in peers:
            self._progress(f"preparing {peer.name}")
            try:
                starts[peer.name] = self._start(peer)
            except RedvillmError as error:
                unavailable[peer.name] = str(error)
        request = self._request
        sampled = {
            one.name: one for one in sample_in_turn(starts, tasks, own=own or {}, warmup=request.warmup, lock=request.lock, progress=self._progress)
        }
        return [sampled.get(peer.name) or Sampled(peer.name, reason=unavailable[peer.name]) for peer in peers]

    def _start(self, peer: Peer) -> Start:
        """Make ready what `peer` needs, and return how to start it."""
        request = self._request
        python = Path(sys.executable) if peer.environment is None else self._environments.python(ENVIRONMENTS[peer.environment])
        weights = self._bundle.folder if peer.weights == BUNDLE else self._artifacts.path(peer.weights)
        capacity = request.context_tokens + request.question_tokens + request.num_new_tokens + _MARGIN_TOKENS
        config = {"model": str(weights), "threads": request.threads, "max_context_tokens": capacity, **peer.config}
        command = [str(python), str(WORKERS / "serve.py"), str(WORKERS / peer.worker), json.dumps(config)]
        return lambda: WorkerProcess(peer.name, command, {"OMP_NUM_THREADS": str(request.threads)})

    def _texts(self, num_texts: int, num_tokens: int) -> list[list[int]]:
        """Return the tokens of so many plain English texts, the same ones in every run: one story, begun at different places."""
        story = resources.files("redvillm.benchmarks").joinpath("assets", "street.txt").read_text(encoding="utf-8").replace("\n", " ")
        manifest, folder = self._bundle.manifest, self._bundle.folder
        prompt = Prompt.from_file(folder / Files.TOKENIZER, manifest.prompt)
        ids: list[int] = prompt.tokenizer.encode(story, add_special_tokens=False).ids
        endless = ids * (num_tokens // len(ids) + 2)
        starts = [index * _STRIDE_TOKENS % len(ids) for index in range(num_texts)]
        return [endless[start : start + num_tokens] for start in starts]

    def _read_frames(self) -> NDArray[np.uint8]:
        fit = self._bundle.manifest.frames
        reader = ClipPass(Path(self._request.clip), num_frames=_NUM_FRAMES, fit=fit, plan_duration_s=None, stopwatch=Stopwatch())
        return np.stack([frame.pixels for frame in reader])


def _mean_cosine(values: NDArray[np.float32], wanted: NDArray[np.float32]) -> float:
    a, b = values.astype(np.float64), wanted.astype(np.float64)
    return float(np.mean((a * b).sum(-1) / (np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1))))
