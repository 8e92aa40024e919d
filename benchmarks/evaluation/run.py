"""`redvillm eval`: reads the questions, asks them, prints tables and one JSON line. Joins the parts; each is described in its own file."""

import importlib.util
import json
import sys
from collections.abc import Sequence
from importlib import metadata

from rich.console import Console
from rich.progress import Progress

from redvillm.benchmarks.evaluation.engine import Engine
from redvillm.benchmarks.evaluation.evaluator import Answers, Asked, Evaluator
from redvillm.benchmarks.evaluation.request import EvaluationRequest
from redvillm.benchmarks.evaluation.summary import Evaluation, summarize
from redvillm.benchmarks.evaluation.tables import print_tables, to_markdown
from redvillm.errors import OptionsError
from redvillm.files import atomic_file
from redvillm.question_set import DESCRIBE, VideoQuestion, read_question_set

_ADVICE = "install it with: python -m pip install 'redvillm[eval]'"


def run_evaluation(request: EvaluationRequest) -> int:
    """Evaluate and print; return 0.

    Raises:
        RedvillmError: the questions, a video, the bundle or the folder for the report cannot be used.
    """
    questions = spread(read_question_set(request.questions), request.limit)
    _require("pycocoevalcap", "captions are compared by it", any(question.kind == DESCRIBE for question in questions))
    _require("matplotlib", "the plot is drawn by it; or leave --out away", request.out is not None)
    engine = _open(request)
    evaluator = Evaluator(engine, questions, seed=request.seed)
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("asking", total=evaluator.num_videos * len(request.conditions))
        asked = evaluator.run(request.conditions, lambda: progress.advance(task))
    evaluation = summarize(questions, asked, _about(request, engine, evaluator, questions))
    print_tables(evaluation, Console(width=None if sys.stdout.isatty() else 160))
    if request.out is not None:
        _write(request, evaluation, questions, asked)
    print(evaluation.to_json())
    return 0


def spread(questions: Sequence[VideoQuestion], limit: int | None) -> tuple[VideoQuestion, ...]:
    """Return at most `limit` questions, evenly spread over the file, so that all its kinds are met."""
    if limit is None or limit >= len(questions):
        return tuple(questions)
    return tuple(questions[index * len(questions) // limit] for index in range(limit))


def _require(library: str, reason: str, wanted: bool) -> None:
    if wanted and importlib.util.find_spec(library) is None:
        raise OptionsError(f"{library} is not installed ({reason}); {_ADVICE}")


def _open(request: EvaluationRequest) -> Answers:
    if not request.torch_model:
        return Engine(request.bundle, threads=request.threads, num_frames=request.num_frames, max_new_tokens=request.max_new_tokens)
    from redvillm.benchmarks.evaluation.torch_engine import TorchEngine

    return TorchEngine(request.bundle, request.adapter, threads=request.threads, num_frames=request.num_frames, max_new_tokens=request.max_new_tokens)


def _about(request: EvaluationRequest, engine: Answers, evaluator: Evaluator, questions: Sequence[VideoQuestion]) -> dict[str, object]:
    return {
        **engine.about,
        "questions": len(questions),
        "videos": evaluator.num_videos,
        "max_new_tokens": request.max_new_tokens,
        "seed": request.seed,
        **{library: metadata.version(library) for library in ("redvillm", "onnxruntime")},
    }


def _write(request: EvaluationRequest, evaluation: Evaluation, questions: Sequence[VideoQuestion], asked: Sequence[Asked]) -> None:
    from redvillm.benchmarks.evaluation.plot import write_plot

    assert request.out is not None
    write_plot(evaluation, request.out / "evaluation.png")
    answers = "".join(
        json.dumps(
            {
                "video": [path.name for path in questions[one.question].media],
                "kind": questions[one.question].kind,
                "question": questions[one.question].question,
                "accepted": questions[one.question].answers,
                "condition": one.condition,
                "answer": one.answer,
                "right": one.right,
            },
            ensure_ascii=False,
        )
        + "\n"
        for one in asked
    )
    for name, text in (("evaluation.json", evaluation.to_json() + "\n"), ("evaluation.md", to_markdown(evaluation)), ("answers.jsonl", answers)):
        with atomic_file(request.out / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
