"""Child process of the doctor: ask the NVIDIA driver and TensorRT who they are and print {"driver": str, "tensorrt": str, "missing": {...}}.

Knows the runtime's own ways to load both; what cannot be loaded there cannot be used.
"""

import json
import sys

from redvillm.errors import RedvillmError


def ask_driver() -> str:
    """Return the architecture of the first GPU.

    Raises:
        BackendError: no driver, or no GPU.
    """
    from redvillm.kernels.tensorrt_device import gpu_architecture
    from redvillm.runtime.cuda_driver import CudaDriver

    return gpu_architecture(0, CudaDriver().library)


def ask_tensorrt() -> str:
    """Return the name and version of the library that would be used.

    Raises:
        BackendError: there is none, or it is broken.
    """
    from redvillm.kernels.tensorrt_module import load_tensorrt

    return str(load_tensorrt())


def main() -> None:
    """Ask both and print what they said."""
    found: dict[str, str] = {}
    missing: dict[str, str] = {}
    for name, ask in (("driver", ask_driver), ("tensorrt", ask_tensorrt)):
        try:
            found[name] = ask()
        except RedvillmError as error:
            missing[name] = " ".join(str(error).split())[:300]
    sys.stdout.write(json.dumps(found | {"missing": missing}) + "\n")


if __name__ == "__main__":
    main()
