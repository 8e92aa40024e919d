"""Peers side by side: the same weights in other engines, each in an environment of its own, sampled in turn in one run.

python -m redvillm.benchmarks.peers --out FOLDER
"""
