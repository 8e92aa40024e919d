"""What TensorRT asked of a plugin, and what the plugin refused, in words.

TensorRT turns an exception of a Python plugin into a number, so the words are kept here for whoever reports the failure.
Methods of plugins are called from TensorRT's threads, hence the lock.
"""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager


class PluginJournal:
    """Calls by method, names of the layers that became this plugin, and refusals."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: Counter[str] = Counter()
        self._layers: list[str] = []
        self._refusals: list[str] = []

    @contextmanager
    def call(self, method: str) -> Iterator[None]:
        """Count a call; an exception is noted as a refusal and goes on."""
        with self._lock:
            self._calls[method] += 1
        try:
            yield
        except Exception as error:
            with self._lock:
                self._refusals.append(str(error))
            raise

    def add_layer(self, name: str) -> None:
        """Note that the node of this name became the plugin."""
        with self._lock:
            self._layers.append(name)

    @property
    def calls(self) -> dict[str, int]:
        """How often each method was called, a copy."""
        with self._lock:
            return dict(sorted(self._calls.items()))

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the nodes that became the plugin."""
        with self._lock:
            return tuple(self._layers)

    @property
    def refusals(self) -> tuple[str, ...]:
        """What was refused, in order, each once."""
        with self._lock:
            return tuple(dict.fromkeys(self._refusals))
