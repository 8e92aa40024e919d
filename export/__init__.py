"""Export: from weights to a bundle. Needs torch, transformers, onnx and gguf (`pip install 'redvillm[cpu,export]'`)."""

from redvillm.export.bundle import export_bundle

__all__ = ["export_bundle"]
