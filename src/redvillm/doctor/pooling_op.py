"""The op `redvillm::SpatioTemporalPool` for ONNX Runtime: whether it was built, for which runtimes, and whether the installed one takes it."""

from redvillm.doctor.check import Check, Status
from redvillm.errors import RedvillmError

_GROUP, _NAME = "onnxruntime", "pooling op"
_REBUILD = "build redvillm again from source, see docs/onnxruntime-op.md"


def check_pooling_op() -> Check:
    """Return what libredvillm_ort.so was built against, and whether onnxruntime can register it."""
    try:
        from redvillm.kernels import ort_library

        path = ort_library.ort_library_path()
        if path is None:
            detail = f"{ort_library.ORT_LIBRARY_NAME} was not built: graphs of whole clips pool with standard operators, slower"
            return Check(group=_GROUP, name=_NAME, status=Status.ABSENT, detail=detail, fix=f"to have it: {_REBUILD}")
        version, kernels = ort_library.ort_library_api_version(), " and ".join(ort_library.ort_library_providers())
    except (ImportError, RedvillmError) as error:
        return Check(group=_GROUP, name=_NAME, status=Status.WARNING, detail=" ".join(str(error).split()), fix=_REBUILD)
    built = f"{path.name}, built against API {version} (onnxruntime 1.{version} and newer), kernels for {kernels}"
    try:
        import onnxruntime

        onnxruntime.SessionOptions().register_custom_ops_library(str(path))
    except Exception as error:  # an import that fails in any way, or onnxruntime's own exceptions, which have no common base
        detail = f"{built}; it cannot be registered: {' '.join(str(error).split())[:200]}"
        return Check(group=_GROUP, name=_NAME, status=Status.WARNING, detail=detail, fix=_REBUILD)
    return Check(group=_GROUP, name=_NAME, status=Status.OK, detail=f"{built}; onnxruntime {onnxruntime.__version__} takes it")
