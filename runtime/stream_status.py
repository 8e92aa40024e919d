"""What a live stream is doing, at one moment.

Knows plain values only.
"""

from dataclasses import dataclass

from redvillm.runtime.drops import FrameCounts
from redvillm.runtime.health import SourceState
from redvillm.runtime.trace_recorder import RecordingStatus


@dataclass(frozen=True, kw_only=True)
class StreamStatus:
    """Figures of a live stream.

    Attributes:
        source: name of the source.
        state: where it stands; `message` says it in a sentence.
        capture_fps: frames per second that the source delivers.
        perception_fps: frames per second that are encoded.
        counts: books over all frames.
        window_frames: frames in the window.
        window_span_s: time between its oldest and its newest frame.
        age_newest_ms: age of the newest frame in the window, None before the first.
        age_confirmed_ms: age of the last frame that was seen to look like that one, None before the first.
        num_remembered: chunks of earlier frames that are remembered.
        recording: how far the recording is, None without one.
        snapshot_version: version of the window, 0 before the first frame.
        encode_ms: vision encoder, newest frame that was encoded.
        questions_waiting: questions in the queue.
        uptime_s: since the stream was opened.
    """

    source: str
    state: SourceState
    message: str
    capture_fps: float
    perception_fps: float
    counts: FrameCounts
    window_frames: int
    window_span_s: float
    age_newest_ms: float | None
    age_confirmed_ms: float | None
    num_remembered: int
    recording: RecordingStatus | None
    snapshot_version: int
    encode_ms: float | None
    questions_waiting: int
    uptime_s: float
