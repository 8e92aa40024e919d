"""Child process of the doctor: run the probe model in OpenVINO and print {"works": bool, "reason": str}.

Knows openvino; nothing but a right result on the asked device counts.
"""

import json
import sys

from redvillm.doctor.onnx_probe_model import probe_model


def try_device(device: str) -> str:
    """Return an empty string if `device` itself computes the probe model, or else the reason why not."""
    import numpy as np

    left, right = np.arange(4, dtype=np.float32), np.full(4, 0.5, dtype=np.float32)
    try:
        import openvino

        core = openvino.Core()
        compiled = core.compile_model(core.read_model(probe_model()), device, {"INFERENCE_PRECISION_HINT": "f32"})
        devices = list(compiled.get_property("EXECUTION_DEVICES"))
        total = compiled({"left": left, "right": right})["total"]
    except Exception as error:  # openvino's own exception types have no common base
        return " ".join(str(error).split())[:200]
    if devices != [device]:
        return f"OpenVINO chose {', '.join(devices)}"
    return "" if np.array_equal(total, left + right) else f"it computes {total.tolist()} for 0..3 + 0.5"


if __name__ == "__main__":
    failure = try_device(sys.argv[1])
    sys.stdout.write(json.dumps({"works": not failure, "reason": failure}) + "\n")
