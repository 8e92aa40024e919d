"""The choice of the backend: visible, and never changed behind the caller's back."""

import sys

import numpy as np
import pytest

import redvillm.kernels
from redvillm.errors import BackendError, OptionsError
from redvillm.kernels import StreamingPool, describe_backend, spatio_temporal_pool


@pytest.fixture
def without_native(monkeypatch):
    monkeypatch.delattr(redvillm.kernels, "_native", raising=False)
    monkeypatch.setitem(sys.modules, "redvillm.kernels._native", None)


def test_describes_what_runs():
    assert describe_backend().startswith("native (")
    assert describe_backend("reference") == "reference (numpy)"
    with pytest.raises(OptionsError, match="legal values"):
        describe_backend("gpu")


@pytest.mark.usefixtures("without_native")
def test_a_missing_native_module_is_an_error_and_no_fallback():
    x = np.ones((2, 3, 4), np.float32)
    for use in (describe_backend, lambda: spatio_temporal_pool(x), lambda: StreamingPool(2, 3, 4, 1)):
        with pytest.raises(BackendError, match="pip install"):
            use()
    assert (spatio_temporal_pool(x, backend="reference")[0] == 1).all()


def test_the_public_door_is_sorted_and_complete():
    assert redvillm.kernels.__all__ == sorted(redvillm.kernels.__all__)
    assert all(hasattr(redvillm.kernels, name) for name in redvillm.kernels.__all__)
