"""Child process of the doctor: run the probe model on one execution provider and print {"works": bool, "reason": str}.

Knows onnxruntime; listed is not running, so nothing but a right result counts.
"""

import json
import sys

from redvillm.doctor.onnx_probe_model import probe_model

_NEEDS_CUDA = ("CUDAExecutionProvider", "TensorrtExecutionProvider")


def try_provider(provider: str) -> str:
    """Return an empty string if `provider` itself computes the probe model, or else the reason why not."""
    import numpy as np
    import onnxruntime

    if provider in _NEEDS_CUDA and hasattr(onnxruntime, "preload_dlls"):
        onnxruntime.preload_dlls()  # finds the CUDA libraries that pip installed beside it
    options = onnxruntime.SessionOptions()
    if provider != "CPUExecutionProvider":
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    left, right = np.arange(4, dtype=np.float32), np.full(4, 0.5, dtype=np.float32)
    try:
        session = onnxruntime.InferenceSession(probe_model(), options, providers=[provider], enable_fallback=0)
        if provider not in session.get_providers():
            return "its libraries cannot be loaded (onnxruntime went on without it)"
        (total,) = session.run(None, {"left": left, "right": right})
    except Exception as error:  # onnxruntime's own exception types have no common base
        return " ".join(str(error).split())[:200]
    return "" if np.array_equal(total, left + right) else f"it computes {total.tolist()} for 0..3 + 0.5"


if __name__ == "__main__":
    failure = try_provider(sys.argv[1])
    sys.stdout.write(json.dumps({"works": not failure, "reason": failure}) + "\n")
