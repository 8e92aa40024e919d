"""Export: from weights to a bundle, and from its graphs to engines.

Bundles need torch, transformers, onnx and gguf (`pip install 'redvillm[cpu,export]'`), engines need TensorRT only; so nothing is imported here
before it is asked for.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from redvillm.export.bundle import export_bundle

__all__ = ["export_bundle"]


def __getattr__(name: str) -> Any:
    if name == "export_bundle":
        from redvillm.export.bundle import export_bundle

        return export_bundle
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
