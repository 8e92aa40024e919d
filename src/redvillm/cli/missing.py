"""What to install when a library is missing. Knows which extra brings which library."""

_EXTRAS = {
    "onnxruntime": "cpu",
    "cv2": "cpu",
    "torch": "export",
    "transformers": "export",
    "onnx": "export",
    "onnxscript": "export",
    "gguf": "export",
    "safetensors": "export",
    "huggingface_hub": "export",
    "matplotlib": "train",
    "pycocoevalcap": "eval",
}


def advice_for(error: ModuleNotFoundError) -> str:
    """Return the line to show for a library that is not installed."""
    library = (error.name or "a library").split(".")[0]
    if extra := _EXTRAS.get(library):
        return f"{library} is not installed; install it with: python -m pip install 'redvillm[{extra}]'"
    return f"{library} is not installed ({error}); install redvillm again, or run 'redvillm doctor'"
