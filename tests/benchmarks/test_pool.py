"""The pooling benchmark runs and writes what it promises; its figures are of tiny sizes and are not judged, except where they are exact."""

import json

import pytest

pytest.importorskip("torch")
pytest.importorskip("onnx")
pytest.importorskip("matplotlib")


def test_quick_run(tmp_path, capsys):
    from redvillm.benchmarks.pool import main

    assert main(["--quick", "--no-compile", "--out", str(tmp_path / "figures")]) == 0
    line = capsys.readouterr().out.splitlines()[-1]
    record = json.loads(line)
    assert json.loads((tmp_path / "figures" / "pool.json").read_text(encoding="utf-8")) == record
    assert {path.name for path in (tmp_path / "figures").iterdir()} == {"pool.json", "pool.png", "pool.svg", "streaming.png", "streaming.svg"}
    engines = {case["case"]["dtype"]: set(case["median_ms"]) for case in record["cases"]}
    assert engines["float32"] == engines["float16"] >= {"redvillm 1", "redvillm 2", "numpy", "torch", "ORT 1", "ORT 2"}
    assert engines["bfloat16"] >= {"redvillm 1", "redvillm 2", "torch"}
    assert all(value > 0 for case in record["cases"] for value in case["median_ms"].values())
    assert [push["num_frames"] for push in record["streaming"]] == [2, 5]
    exact, *others = record["drift"]["error"].values()
    assert not any(exact)
    assert all(max(errors) > 0 for errors in others)


def test_unknown_options_are_refused(capsys):
    from redvillm.benchmarks.pool import main

    with pytest.raises(SystemExit):
        main(["--slow"])
    assert "--quick" in capsys.readouterr().err


def test_both_means_of_all_engines_agree():
    """Every engine of the table computes the same thing; otherwise its time means nothing."""
    import tempfile
    from pathlib import Path

    import numpy as np
    import torch

    from redvillm.benchmarks import pool_engines

    case = pool_engines.Case("test", (5, 40, 33), "float32")
    tensor = torch.randn(case.shape)
    expected = [tensor.double().mean(axis).numpy() for axis in (0, 1)]
    with tempfile.TemporaryDirectory() as folder:
        engines = pool_engines._engines(case, tensor, Path(folder), compiled=False)
        for name, engine in engines.items():
            result = engine()
            if name.startswith("read"):
                np.testing.assert_allclose(result, tensor[: tensor.numel() // 2 * 2].sum(), rtol=1e-4, atol=1e-2)
            elif result is not None:  # ONNX Runtime keeps its results in the binding
                for one, other in zip(result, expected, strict=True):
                    np.testing.assert_allclose(one, other, rtol=0, atol=1e-6)
