"""redvillm's own decoder, through the runtime's public classes."""

from importlib import metadata
from typing import Any

import numpy as np

from redvillm.manifest import Graphs
from redvillm.runtime.bundle import open_bundle
from redvillm.runtime.decoder import Decoder
from redvillm.runtime.embeddings import EmbeddingTable
from redvillm.runtime.session import open_session


class Engine:
    def __init__(self, config: dict[str, Any]) -> None:
        bundle = open_bundle(config["model"], target="cpu", verify="sizes")
        folder, self._manifest = bundle.folder, bundle.manifest
        self._session = open_session(folder / Graphs.DECODER, threads=config["threads"], spinning=True)
        self._decoder = Decoder(self._session, self._manifest.dimensions, config["max_context_tokens"])
        self._embeddings = EmbeddingTable(folder, self._manifest.dimensions)
        # the head reads the same values as the embeddings, from a file of its own or from theirs
        files = [path for path in folder.iterdir() if path.name.startswith(("decoder", "embeddings"))]
        self._weight_bytes = sum(path.stat().st_size for path in files)
        self._last = 0

    def describe(self) -> dict[str, Any]:
        detail = getattr(self._session, "decoder_kernel", None)
        return {
            "precision": self._manifest.precision[Graphs.DECODER],
            "provider": " + ".join(filter(None, (self._session.provider, detail))),
            "weight_bytes": self._weight_bytes,
            "versions": {name: metadata.version(name) for name in ("redvillm", "onnxruntime")},
        }

    def rewind(self, length: int) -> None:
        self._decoder.rewind(min(length, self._decoder.length))

    def append(self, ids: list[int]) -> int:
        logits = self._decoder.forward(self._embeddings.lookup(ids), [len(ids) - 1])
        self._last = int(np.argmax(logits[0]))
        return self._last

    def step(self) -> int:
        return self.append([self._last])


def open_engine(config: dict[str, Any]) -> Engine:
    return Engine(config)
