"""Answers and status as plain documents and as lines of text.

Knows how to word figures; does not print.
"""

import dataclasses
from typing import Any

from redvillm.runtime.alert import AlertEvent
from redvillm.runtime.answer import Answer
from redvillm.runtime.evidence import Evidence, RememberedSpan
from redvillm.runtime.stream_status import StreamStatus
from redvillm.runtime.timings import Timings
from redvillm.runtime.trace_recorder import RecordingStatus

Document = dict[str, Any]


def answer_document(answer: Answer) -> Document:
    """Return a finished answer as a JSON-ready document; one that failed has `error` instead of figures."""
    document: Document = {"question": answer.question, "answer": answer.text_so_far}
    if answer.error is not None:
        return document | {"error": {"type": type(answer.error).__name__, "message": str(answer.error)}}
    return document | {
        "finish": answer.stats.finish,
        "evidence": _plain(answer.evidence),
        "timings": _plain(answer.timings),
        "stats": _plain(answer.stats),
    }


def event_document(event: AlertEvent) -> Document:
    """Return an event of an alert as a JSON-ready document."""
    document: Document = _plain(event)
    del document["time_s"]  # of a clock that means nothing outside the process
    return document


def event_line(event: AlertEvent) -> str:
    """Return an event of an alert in one line."""
    lasted = "" if event.lasted_s is None else f" after {event.lasted_s:.1f} s"
    return f"[alert {'begins' if event.kind == 'begin' else 'ends'}{lasted}] {event.question} (yes: {event.probability:.0%})"


def status_document(status: StreamStatus) -> Document:
    """Return the status of a stream as a JSON-ready document."""
    document: Document = _plain(status)
    counts = status.counts
    document["counts"] = {"captured": counts.captured, "used": counts.used, "drops": _plain(counts.drops), "in_flight": counts.in_flight}
    return document


def evidence_line(evidence: Evidence) -> str:
    """Return the evidence in one line."""
    span = f" over {evidence.window_span_s:.1f} s" if evidence.window_span_s is not None else ""
    if evidence.age_newest_ms is None or evidence.age_oldest_ms is None:
        return f"evidence: {evidence.frames_used} of {frames_text(evidence.frames_captured)}{span}"
    ages = f"newest {evidence.age_newest_ms:.0f} ms, oldest {evidence.age_oldest_ms / 1e3:.1f} s old"
    if evidence.age_confirmed_ms is not None and evidence.age_confirmed_ms < evidence.age_newest_ms:
        ages += f", unchanged {evidence.age_confirmed_ms:.0f} ms ago"
    before = f"; before them {_remembered_text(evidence.remembered)}" if evidence.remembered else ""
    return f"evidence: {frames_text(evidence.frames_used)}{span}, {ages}{before}; {drops_text(evidence.drops)}; window {evidence.snapshot_version}"


def _remembered_text(spans: tuple[RememberedSpan, ...]) -> str:
    num_frames, num_tokens = sum(span.num_frames for span in spans), sum(span.num_visual_tokens for span in spans)
    chunks = "1 chunk" if len(spans) == 1 else f"{len(spans)} chunks"
    return f"{frames_text(num_frames)} in {chunks} of {num_tokens} tokens, back to {spans[0].age_oldest_ms / 1e3:.0f} s"


def recording_line(recording: RecordingStatus) -> str:
    """Return how far a recording is, in one line."""
    missed = f", {recording.num_missed} missed" if recording.num_missed else ""
    stopped = f"; stopped: {recording.stopped}" if recording.stopped else ""
    return f"{recording.path}: {frames_text(recording.num_frames)}, {recording.num_bytes / 1e6:.1f} MB{missed}{stopped}"


def timings_line(timings: Timings, num_new_tokens: int) -> str:
    """Return the timings in one line."""
    parts = [f"first token {timings.ttft_ms:.0f} ms", f"total {timings.total_ms:.0f} ms", f"{num_new_tokens} tokens"]
    if timings.per_token_ms is not None:
        parts.append(f"{timings.per_token_ms:.1f} ms each")
    if timings.frame_to_last_token_ms is not None:
        parts.append(f"frame to answer {timings.frame_to_last_token_ms:.0f} ms")
    stages = ("decode", "preprocess", "encode", "pool", "align", "prefill")
    split = ", ".join(f"{stage} {getattr(timings, stage + '_ms'):.1f}" for stage in stages)
    return f"timings: {', '.join(parts)} ({split} ms)"


def answer_lines(answer: Answer) -> list[str]:
    """Return what stands below the text of a finished answer: notes, evidence, timings; or why it failed."""
    if answer.error is not None:
        return [f"no answer: {answer.error}"]
    notes = [f"note: {note}" for note in answer.evidence.notes]
    lines = [*notes, evidence_line(answer.evidence), timings_line(answer.timings, answer.stats.num_new_tokens)]
    stats = answer.stats
    if stats.num_draft_tokens:
        lines.append(f"draft: {stats.num_accepted_tokens} of {stats.num_draft_tokens} tokens of the last answer held")
    return lines


def frames_text(number: int) -> str:
    """Return a number of frames, in words."""
    return "1 frame" if number == 1 else f"{number} frames"


def drops_text(drops: Any) -> str:
    """Return the drops by reason, in words."""
    parts = [f"{number} {str(reason).replace('_', ' ')}" for reason, number in drops.items() if number]
    return f"dropped {', '.join(parts)}" if parts else "nothing dropped"


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if hasattr(value, "items"):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return round(value, 3)
    return str(value) if isinstance(value, str) else value
