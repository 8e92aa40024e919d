"""`redvillm ask` and `redvillm live`, as functions that the command line calls.

Knows how a request becomes calls of the API and printed text; does not parse arguments.
"""

import contextlib
import json
import sys
import time
from collections.abc import Iterator

from rich.console import Console

from redvillm.runtime.answer import Answer
from redvillm.runtime.live_output import JsonOutput, LiveOutput, PlainOutput
from redvillm.runtime.live_session import LiveSession
from redvillm.runtime.live_view import ViewOutput
from redvillm.runtime.model import Model, load
from redvillm.runtime.options import GenerationOptions
from redvillm.runtime.report import answer_document, answer_lines
from redvillm.runtime.requests import AskRequest, LiveRequest
from redvillm.runtime.stream_options import StreamOptions
from redvillm.runtime.typed_input import TypedInput


def run_ask(request: AskRequest) -> int:
    """Answer questions about a clip on standard output; return 0.

    Text streams piece by piece, with evidence and timings below. With `as_json`, one document at the end.

    Raises:
        RedvillmError: what made it fail.
    """
    options = GenerationOptions(max_new_tokens=request.max_new_tokens, temperature=request.temperature, top_p=request.top_p, seed=request.seed)
    with load(request.bundle, target=request.target, threads=request.threads) as model:
        answers = _answers(model, request, options)
        if request.as_json:
            documents = [_document(answer) for answer in answers]
            document = {"model": model.manifest.name, "providers": model.providers, "clip": request.clip, "answers": documents}
            print(json.dumps(document, indent=1, allow_nan=False))
        else:
            for answer in answers:
                _print_streaming(answer)
    return 0


def _answers(model: Model, request: AskRequest, options: GenerationOptions) -> Iterator[Answer]:
    """Ask one question after the other, so that the timings of each are its own; the first one's include watching the clip."""
    for question in request.questions:
        model.check_question(question, num_frames=request.num_frames, options=options)
    asked_s = time.perf_counter()
    clip = model.watch(request.clip, num_frames=request.num_frames)
    for question in request.questions:
        answer = clip.ask_since(question, options, asked_s)
        yield answer
        answer.wait()
        asked_s = time.perf_counter()


def _document(answer: Answer) -> dict[str, object]:
    answer.stats  # noqa: B018 - waits, and raises what made it fail
    return answer_document(answer)


def run_live(request: LiveRequest) -> int:
    """Watch a source and answer questions until the end; return 0.

    A terminal gets a view, anything else plain lines, and `as_json` one JSON document per line.

    Raises:
        RedvillmError: what made it fail.
    """
    options = GenerationOptions(max_new_tokens=request.max_new_tokens)
    stream_options = StreamOptions(
        rate_hz=request.rate_hz,
        loop=request.loop,
        max_evidence_age_ms=request.max_evidence_age_s * 1e3,
        gate=request.gate,
        window=request.window,
        speed=request.speed,
        record=request.record,
    )
    with contextlib.ExitStack() as stack:
        model = stack.enter_context(load(request.bundle, target=request.target, threads=request.threads))
        stream = stack.enter_context(model.open(request.source, options=stream_options))
        typed = stack.enter_context(TypedInput())
        output: LiveOutput
        if request.as_json:
            output = JsonOutput(sys.stdout)
        elif sys.stdout.isatty() and typed.is_terminal:
            output = stack.enter_context(ViewOutput(Console()))
        else:
            output = PlainOutput(sys.stdout)
        LiveSession(stream, typed, output, options).run(request.questions, request.alerts, request.every_s, request.duration_s)
    return 0


def _print_streaming(answer: Answer) -> None:
    print(f"> {answer.question}", flush=True)
    for piece in answer:
        print(piece.text, end="", flush=True)
    print()
    for line in answer_lines(answer):
        print(f"  {line}")
    print(flush=True)
