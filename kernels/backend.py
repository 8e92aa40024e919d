"""The one choice between the native kernels and the reference.

There is no fallback: without the native module, the native backend is an error, and the reference has to be asked for by name.
"""

from types import ModuleType
from typing import Literal, get_args

from redvillm.errors import BackendError, OptionsError

Backend = Literal["native", "reference"]


def choose_backend(backend: Backend | None) -> Backend:
    """Return the backend that will run; None stands for "native".

    Raises:
        OptionsError: an unknown name.
        BackendError: the native module is missing.
    """
    chosen = "native" if backend is None else backend
    if chosen not in get_args(Backend):
        raise OptionsError(f"backend is {backend!r:.40}; legal values are 'native', 'reference' and None (native)")
    if chosen == "native":
        load_native()
    return chosen


def load_native() -> ModuleType:
    """Return the native module.

    Raises:
        BackendError: it was not built, or was built for another Python or processor.
    """
    try:
        from redvillm.kernels import _native
    except ImportError as error:
        raise BackendError(
            f"the native kernels cannot be loaded ({error}); install redvillm again with 'pip install .' (needs a C++17 compiler), "
            "or ask for backend='reference' (numpy, slower)"
        ) from error
    return _native


def describe_backend(backend: Backend | None = None) -> str:
    """Return what would run, for example "native (avx512; this processor also runs avx2, baseline)".

    Raises:
        OptionsError: an unknown name.
        BackendError: the native module is missing.
    """
    if choose_backend(backend) == "reference":
        return "reference (numpy)"
    best, *others = load_native().supported_levels()
    return f"native ({best}; this processor also runs {', '.join(others)})" if others else f"native ({best})"
