"""The report: a table with ratios to redvillm, and one JSON line that holds every figure."""

import io
import json

from rich.console import Console

from redvillm.benchmarks.engine import Description, Task
from redvillm.benchmarks.machine import describe_machine
from redvillm.benchmarks.report import EngineReport, Report, print_report
from redvillm.benchmarks.statistics import summarize


def engine(name, scale):
    stages = {"encode_ms": summarize([40.0 * scale]), "total_ms": summarize([100.0 * scale, 110.0 * scale])}
    if name == "redvillm":
        stages["prefill_ms"] = summarize([7.0])
    return EngineReport(Description(name, "provider of " + name, "float32", 2), stages, summarize([30.0 / scale]), 100.0 * scale, "A dog.")


def test_table_and_json_line(capsys):
    task = Task(clip="c.mp4", question="?", num_frames=4, num_new_tokens=8)
    report = Report(task=task, runs=2, warmup=1, machine=describe_machine(), python="3", engines=(engine("redvillm", 1.0), engine("peer", 4.0)))
    text = io.StringIO()
    line = print_report(report, Console(file=text, width=160))
    assert capsys.readouterr().out == line + "\n"
    record = json.loads(line)
    assert record["engines"][1]["stages"]["encode_ms"]["p50"] == 160
    rows = {row.split("  ")[1].strip(): row for row in text.getvalue().splitlines() if row.startswith("  ")}
    assert "4.0x" in rows["encode"]
    assert "4.0x" in rows["peak memory, MB"]
    assert rows["prefill, visual prefix"].rstrip().endswith("-")  # a stage that the peer does not have
    assert "provider of peer" in text.getvalue()
