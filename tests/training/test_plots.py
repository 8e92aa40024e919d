"""Plots are written and reproducible."""

import numpy as np

from redvillm.training.plots import plot_losses


def test_the_same_losses_give_the_same_picture(tmp_path):
    losses = list(np.exp(-np.arange(60) / 20) + 1)
    plot_losses(losses, tmp_path / "a.svg")
    plot_losses(losses, tmp_path / "b.svg")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert b"step" in (tmp_path / "a.svg").read_bytes()


def test_a_short_run_is_drawn_too(tmp_path):
    plot_losses([2.0], tmp_path / "short.svg")
    assert (tmp_path / "short.svg").stat().st_size > 1000
