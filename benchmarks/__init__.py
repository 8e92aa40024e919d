"""Benchmarks: stage timings of an answer, and peers measured side by side in the same run."""

from redvillm.benchmarks.bench import run_bench

__all__ = ["run_bench"]
