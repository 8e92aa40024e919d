"""An engine for serve.py that computes nothing: the next token is the length of the cache. Standard library only."""

import time


class Engine:
    def __init__(self, config):
        self.config = config
        self.cache = []

    def describe(self):
        return {"precision": "none", "provider": "fake", "weight_bytes": 2_000_000, "versions": {"fake": "1"}}

    def rewind(self, length):
        assert length <= len(self.cache)
        del self.cache[length:]

    def append(self, ids):
        print("a library that talks on standard output")
        time.sleep(len(ids) * self.config["token_s"])
        self.cache += ids
        if len(self.cache) > self.config.get("breaks_after", 1 << 30):
            raise MemoryError("the fake is full")
        return len(self.cache)

    def step(self):
        return self.append([self.cache[-1]])


class OwnMeasure:
    def describe(self):
        return {"precision": "none", "provider": "own", "weight_bytes": 1, "versions": {}}

    def measure(self, task):
        return {"prefill_per_s": 1.0, "decode_per_s": 2.0, "ttft_ms": 3.0, "ttft_cached_ms": 4.0, "tokens": task["context"]}


class Encoder(OwnMeasure):
    def encode(self, pixels):
        return pixels.astype("float32") * 2


def open_engine(config):
    return {"steps": Engine, "own": lambda _: OwnMeasure(), "encoder": lambda _: Encoder()}[config["kind"]](config)
