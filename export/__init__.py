"""Export: from weights to a bundle. Needs torch, transformers, onnx and gguf (`pip install 'redvillm[export]'`)."""

from redvillm.export.bundle import export_bundle

__all__ = ["export_bundle"]
