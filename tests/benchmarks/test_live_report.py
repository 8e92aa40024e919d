"""The report of a live run: figures in the table, in the JSON line and on the page, which needs nothing from elsewhere."""

import dataclasses
import io
import json
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
from live_records import steady_run, two_variants
from rich.console import Console

from redvillm.benchmarks.live_bench import make_report
from redvillm.benchmarks.live_records import LiveRecord
from redvillm.benchmarks.live_report import print_live_report
from redvillm.benchmarks.live_requests import LiveBenchRequest

pytest.importorskip("matplotlib")
REQUEST = LiveBenchRequest(bundle="b", source="<clip>.mp4", duration_s=16, segment_s=8, warmup_s=2, every_s=1, compare="prefill", soak=True)


def report_of(record, **changes):
    return make_report(dataclasses.replace(REQUEST, **changes), record, {"threads": "2"})


def test_table_and_json_line(capsys):
    text = io.StringIO()
    line = print_live_report(report_of(two_variants()), Console(file=text, width=160))
    assert capsys.readouterr().out == line + "\n"
    record = json.loads(line)
    assert [variant["latencies_ms"]["ttft_ms"]["p50"] for variant in record["variants"]] == [30, 90]
    assert record["gains_of_first"]["ttft_ms"] == 3
    assert record["request"]["source"] == "<clip>.mp4"
    assert record["verdict"]["passed"] is False  # one question was refused
    rows = text.getvalue().splitlines()
    assert any("TTFT, from asking" in row and "3.00x" in row for row in rows)
    assert any("refused" in row and "16 (1)" in row for row in rows)


def test_one_variant_has_no_gains():
    report = report_of(steady_run(60), compare=None)
    assert report.gains == {}
    assert json.loads(report.to_json())["gains_of_first"] == {}


class _Links(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        self.found += [value for name, value in attrs if name in ("src", "href", "xlink:href") and not value.startswith("#")]


def test_the_folder_holds_a_page_that_needs_nothing_else(tmp_path):
    from redvillm.benchmarks.live_folder import write_folder

    report = report_of(two_variants())
    write_folder(tmp_path / "new", report, two_variants(), report.to_json())
    page = (tmp_path / "new" / "report.html").read_text(encoding="utf-8")
    links = _Links()
    links.feed(page)
    assert links.found == []
    assert "@import" not in page and "url(http" not in page
    assert "&lt;clip&gt;.mp4" in page and "<clip>" not in page
    assert "a &lt;note&gt;" in page
    assert "prefers-color-scheme: dark" in page
    plots = re.findall(r"<svg .*?</svg>", page, re.DOTALL)
    assert len(plots) == 6
    for plot in plots:
        ElementTree.fromstring(plot)
        assert set(re.findall(r"#[0-9a-fA-F]{6}", plot)) <= {"#000000", "#ffffff"}  # the page chooses the colours
    used, set_here = set(re.findall(r"var\((--\w+)\)", page)), set(re.findall(r"(--\w+):", page))
    assert used <= set_here
    images = sorted(path.name for path in (tmp_path / "new").glob("*.png"))
    assert len(images) == 6
    assert all((tmp_path / "new" / name).read_bytes().startswith(b"\x89PNG") for name in images)
    records = json.loads((tmp_path / "new" / "records.json").read_text(encoding="utf-8"))
    assert len(records["answers"]) == len(two_variants().answers)


def test_a_run_without_answers_still_has_a_page(tmp_path):
    from redvillm.benchmarks.live_folder import write_folder

    record = LiveRecord((), steady_run(30).samples)
    report = report_of(record, compare=None)
    write_folder(tmp_path, report, record, report.to_json())
    assert (tmp_path / "report.html").read_text(encoding="utf-8").count("<svg ") == 3
