"""The public face: exactly these names, sorted, and nothing heavy imported before it is used."""

import subprocess
import sys

import pytest

import redvillm

PUBLIC = [
    "Answer",
    "BackendError",
    "BundleError",
    "BundleFileError",
    "BundleSchemaError",
    "BundleTargetError",
    "ChecksumError",
    "Clip",
    "ContextOverflowError",
    "Evidence",
    "ExportError",
    "FetchError",
    "GenerationOptions",
    "LiveStream",
    "Model",
    "OfflineError",
    "OptionsError",
    "ParityError",
    "QuestionError",
    "RedvillmError",
    "SourceError",
    "SourceFormatError",
    "SourceLostError",
    "SourceNotFoundError",
    "StorageError",
    "StreamClosedError",
    "StreamOptions",
    "Timings",
    "load",
]


def test_the_names_are_pinned_and_sorted():
    assert redvillm.__all__ == PUBLIC == sorted(PUBLIC)


def test_every_name_is_there_and_documented():
    for name in PUBLIC:
        value = getattr(redvillm, name)
        assert value.__doc__, name
        assert value.__name__ == name
    assert set(PUBLIC) <= set(dir(redvillm))


def test_every_error_is_public():
    from redvillm import errors

    tree = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, errors.RedvillmError)}
    assert tree <= set(PUBLIC)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'lod'"):
        _ = redvillm.lod


def test_importing_it_imports_nothing_heavy():
    script = "import sys, redvillm; print(sorted({'cv2', 'onnxruntime', 'torch', 'numpy', 'redvillm.runtime'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.strip() == "[]"
