"""Every engine that is measured: what it runs, in which environment, on which form of the weights. Data only."""

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

Part = Literal["language", "vision"]
BUNDLE = "bundle"  # the weights of redvillm itself


@dataclass(frozen=True, kw_only=True)
class Peer:
    """One engine.

    Attributes:
        name: in tables.
        part: what it is measured at.
        environment: key of ENVIRONMENTS; None is the one that redvillm runs in (torch and transformers are there for exporting).
        worker: script in the folder `workers`.
        weights: name of Artifacts, or BUNDLE.
        config: goes to the worker as it is.
    """

    name: str
    part: Part
    environment: str | None
    worker: str
    weights: str
    config: MappingProxyType[str, str] = field(default_factory=lambda: MappingProxyType({}))


def _config(**values: str) -> MappingProxyType[str, str]:
    return MappingProxyType(values)


REFERENCE = MappingProxyType({"language": "transformers fp32", "vision": "torch fp32"})  # what answers are compared with
PEERS = (
    Peer(name="redvillm", part="language", environment=None, worker="redvillm_language.py", weights=BUNDLE),
    Peer(
        name="transformers fp32",
        part="language",
        environment=None,
        worker="transformers_language.py",
        weights="huggingface",
        config=_config(dtype="float32"),
    ),
    Peer(
        name="transformers bf16",
        part="language",
        environment=None,
        worker="transformers_language.py",
        weights="huggingface",
        config=_config(dtype="bfloat16"),
    ),
    Peer(
        name="llama.cpp Q4_1 (as it is)",
        part="language",
        environment="llama",
        worker="llama_language.py",
        weights="gguf",
        config=_config(precision="Q4_1, the file as it is"),
    ),
    Peer(
        name="llama.cpp Q4_0",
        part="language",
        environment="llama",
        worker="llama_language.py",
        weights="gguf-q4_0",
        config=_config(precision="Q4_0, quantized anew from Q4_1"),
    ),
    Peer(name="onnxruntime-genai int4", part="language", environment="genai", worker="genai_language.py", weights="genai"),
    Peer(
        name="OpenVINO GenAI int4",
        part="language",
        environment="openvino",
        worker="openvino_language.py",
        weights="gguf",
        config=_config(precision="Q4_1, the file as OpenVINO GenAI reads it"),
    ),
    Peer(name="redvillm", part="vision", environment=None, worker="redvillm_vision.py", weights=BUNDLE),
    Peer(name="torch fp32", part="vision", environment=None, worker="torch_vision.py", weights="vision-torch"),
    Peer(name="ONNX Runtime, default export", part="vision", environment=None, worker="onnxruntime_vision.py", weights="vision-onnx"),
    Peer(
        name="OpenVINO fp32",
        part="vision",
        environment="openvino",
        worker="openvino_vision.py",
        weights="vision-onnx",
        config=_config(precision="float32"),
    ),
    Peer(
        name="OpenVINO int8 (nncf)",
        part="vision",
        environment="openvino",
        worker="openvino_vision.py",
        weights="vision-int8",
        config=_config(precision="int8, nncf"),
    ),
)
