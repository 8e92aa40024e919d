"""The shared libraries of TensorRT for RTX, loaded so that its ONNX parser finds them by the name it asks for.

The parser opens `libtensorrt_rtx.so` when it meets a plugin, looking in the folder it was loaded from; the wheel ships `libtensorrt_rtx.so.1` only,
and the process then aborts (tensorrt-rtx-cu13 1.7.1). So both libraries are loaded, before the wheel does it, through links in a folder of the cache
that also holds the unversioned names. The wheel is not touched, and the files are in memory once.
Knows the dynamic loader; does not know TensorRT's API.
"""

import ctypes
import hashlib
import importlib.util
import os
import shutil
import sys
import tempfile
from pathlib import Path

from redvillm.errors import BackendError
from redvillm.files import storage_errors
from redvillm.zoo import cache_root

_CORE = "libtensorrt_rtx.so"
_PARSER = "libtensorrt_onnxparser_rtx.so"
_PARSER_SYMBOL = "createNvOnnxParser_INTERNAL"


class _SymbolInfo(ctypes.Structure):
    """Dl_info of dladdr(3)."""

    _fields_ = (
        ("file_name", ctypes.c_char_p),
        ("file_base", ctypes.c_void_p),
        ("symbol_name", ctypes.c_char_p),
        ("symbol_address", ctypes.c_void_p),
    )


def load_rtx_libraries() -> None:
    """Load core and parser so that the parser finds the core; does nothing where that needs no help.

    Raises:
        BackendError: the libraries of the wheel cannot be loaded.
        StorageError: the cache is not writable.
    """
    libraries = _wheel_libraries()
    if not libraries or all((library.parent / library.stem).exists() for library in libraries):
        return
    folder = _link_folder(libraries)
    for library in libraries:
        try:
            ctypes.CDLL(str(folder / library.name))
        except OSError as error:
            raise BackendError(f"{library} cannot be loaded ({error}); install tensorrt-rtx-cu13 again") from error


def check_rtx_libraries() -> None:
    """Check that a parser which was loaded by somebody else finds the core.

    Raises:
        BackendError: it does not.
    """
    parser = _parser_path()
    if parser is not None and not (parser.parent / _CORE).exists():
        raise BackendError(
            f"tensorrt_rtx was imported before redvillm could help its parser to find {_CORE}; a graph with a plugin would end the process. "
            "Call redvillm.kernels.tensorrt_module.load_tensorrt() before the first 'import tensorrt_rtx'"
        )


def _wheel_libraries() -> list[Path]:
    """The versioned libraries, core first: the parser's core must be the linked one."""
    spec = importlib.util.find_spec("tensorrt_rtx_libs") if sys.platform == "linux" else None
    if spec is None or not spec.submodule_search_locations:
        return []
    folder = Path(spec.submodule_search_locations[0])
    return [path for name in (_CORE, _PARSER) for path in sorted(folder.glob(f"{name}.[0-9]"))]


def _link_folder(libraries: list[Path]) -> Path:
    """Return a folder of the cache with links to the libraries under both names; made in one step, for others may make it too."""
    place = hashlib.sha256("\n".join(map(str, libraries)).encode()).hexdigest()[:16]
    folder = cache_root() / "tensorrt" / f"libraries-{place}"
    with storage_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        if not folder.is_dir():
            temporary = Path(tempfile.mkdtemp(prefix=".libraries.", suffix=".part", dir=folder.parent))
            for library in libraries:
                for name in (library.name, library.stem):
                    (temporary / name).symlink_to(library)
            try:
                temporary.rename(folder)
            except OSError:  # another process was first
                shutil.rmtree(temporary)
    return folder


def _parser_path() -> Path | None:
    """Where the loaded parser was loaded from, as the loader names it; None if none is loaded."""
    libraries = [path for path in _wheel_libraries() if path.name.startswith(_PARSER)]
    if not libraries:
        return None
    try:
        parser = ctypes.CDLL(str(libraries[0]), mode=os.RTLD_NOLOAD | os.RTLD_NOW)
        symbol = ctypes.cast(getattr(parser, _PARSER_SYMBOL), ctypes.c_void_p)
    except (OSError, AttributeError):
        return None
    info = _SymbolInfo()
    dladdr = ctypes.CDLL(None).dladdr
    dladdr.argtypes = (ctypes.c_void_p, ctypes.POINTER(_SymbolInfo))
    return Path(os.fsdecode(info.file_name)) if dladdr(symbol, ctypes.byref(info)) else None
