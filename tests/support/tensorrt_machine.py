"""A machine with a GPU and TensorRT, as far as the runtime can tell, and a tiny bundle with engines. Imported by tests that have onnx and gguf."""

import dataclasses
import sys

import fake_tensorrt
import numpy as np
import tiny_bundle

from redvillm.engine_key import EngineKey, FrameProfile, write_key
from redvillm.files import sha256_of
from redvillm.manifest import Graphs, Tensors, read_manifest
from redvillm.runtime.tensorrt_session import open_tensorrt_session

VERSION = "10.3.0.26"


class Machine:
    """A GPU with TensorRT, and a bundle of tiny graphs with engines."""

    def __init__(self, gpu, folder, monkeypatch):
        self.gpu, self.folder, self._monkeypatch = gpu, folder, monkeypatch
        self.install()
        self.manifest = dataclasses.replace(read_manifest(folder), target="tensorrt")
        self.spec = self.manifest.graphs

    def install(self, flavour="tensorrt", version=VERSION):
        for name in ("tensorrt", "tensorrt_rtx"):
            self._monkeypatch.delitem(sys.modules, name, raising=False)
        self.flavour, self.version = flavour, version
        self.trt = fake_tensorrt.make_module(self.gpu.library, version, rtx=flavour == "tensorrt_rtx")
        self._monkeypatch.setitem(sys.modules, flavour, self.trt)
        self._monkeypatch.setattr("redvillm.kernels.tensorrt_module.check_rtx_libraries", lambda: None)

    def key(self, graph, frames=(1, 2, 3), **changes):
        fields = {
            "flavour": self.flavour,
            "version": self.version,
            "architectures": ("SM87",),
            "precision": "float32",
            "pooling": "function",
            "frames": FrameProfile(*frames),
            "onnx_sha256": sha256_of(self.folder / graph),
        }
        return EngineKey(**fields | changes)

    def build(self, graph, frames=(1, 2, 3), *, header=None, **changes):
        """Write an engine and its key as the exporter does; return its path."""
        key = self.key(graph, frames, **changes)
        path = self.folder / "engines" / key.file_name(graph.removesuffix(".onnx"))
        path.parent.mkdir(exist_ok=True)
        rows = {Tensors.VISUAL_TOKENS: self.manifest.dimensions.num_patches + self.manifest.dimensions.num_motion_tokens}
        path.write_bytes(fake_tensorrt.serialize(self.folder / graph, {"frames": frames, "rows_added": rows} | (header or {})))
        write_key(path, key)
        return path

    def open(self, graph=Graphs.VISION, *, manifest=None):
        return open_tensorrt_session(self.folder, manifest or self.manifest, graph, in_parts=graph == Graphs.VISION, memory=self.gpu.memory())

    def pixels(self, num_frames, seed=0):
        frames = self.manifest.frames
        return np.random.default_rng(seed).integers(0, 256, (num_frames, frames.height, frames.width, 3), np.uint8)

    @staticmethod
    def features_of(pixels):
        """The features in float64."""
        rows = pixels.reshape(-1, tiny_bundle.NUM_PATCHES, pixels[0].size // tiny_bundle.NUM_PATCHES) / 255.0
        return rows @ tiny_bundle.random_weights()["encoder"].astype(np.float64)

    def check_features(self, session, pixels):
        (features,) = session.run([Tensors.FEATURES], {Tensors.PIXELS: pixels})
        assert features.dtype == np.float32
        np.testing.assert_allclose(features, self.features_of(pixels), rtol=0, atol=1e-5)  # sums of 192 products of size one
        return features
