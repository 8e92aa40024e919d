"""`redvillm train`."""

import argparse
import sys
from pathlib import Path

from redvillm.cli.options import Commands
from redvillm.cli.values import integer, real
from redvillm.zoo import DEFAULT_MODEL

_STEPS = integer(1, 1 << 31)


def add_parser(commands: "Commands[argparse.ArgumentParser]", common: argparse.ArgumentParser) -> None:
    """Define the command."""
    parser = commands.add_parser(
        "train",
        parents=[common],
        help="train an adapter on captioned images and questions about videos",
        description=(
            "Train the adapter between a vision encoder and an LLM on your own images and videos: a warm start on the LLM's word embeddings, "
            "captions through the frozen LLM, then all questions. Goes on where an earlier run of the same folder stopped. Prints the path of the "
            "adapter, which 'redvillm export --adapter' takes."
        ),
    )
    help_text = "JSON Lines, one question a line: video or frames, kind, question, answers; may be repeated"
    parser.add_argument("--questions", type=Path, action="append", default=[], metavar="FILE", help=help_text)
    help_text = "JSON Lines, one image a line: image, captions; may be repeated"
    parser.add_argument("--captions", type=Path, action="append", default=[], metavar="FILE", help=help_text)
    parser.add_argument("--held-out", type=Path, metavar="FILE", help="questions to be measured on the way, of images and videos not trained on")
    parser.add_argument("--run", type=Path, required=True, dest="run_folder", metavar="FOLDER", help="for features, checkpoints and reports")
    help_text = "model of the zoo whose vision encoder and LLM are taken (default: %(default)s)"
    parser.add_argument("--model", default=DEFAULT_MODEL, metavar="NAME", help=help_text)
    parser.add_argument("--vision", type=Path, metavar="PTH|FOLDER", help="another EfficientNet-Lite0, or a vision encoder as transformers saves it")
    parser.add_argument("--language", type=Path, metavar="GGUF|FOLDER", help="another LLM of the Llama architecture, or one as transformers saves it")
    parser.add_argument("--start-from", type=Path, metavar="ADAPTER", help="go on from this adapter instead of a warm start")
    help_text = "keep so much of --start-from in the result, such as 0.4: what was known before is forgotten less"
    parser.add_argument("--start-share", type=real(0, 1), metavar="X", help=help_text)
    help_text = "let clips with questions of this kind be half of all; may be repeated"
    parser.add_argument("--emphasis", action="append", metavar="KIND", help=help_text)
    parser.add_argument("--warm-start-steps", type=_STEPS, metavar="N", help="batches of the warm start")
    parser.add_argument("--caption-steps", type=_STEPS, metavar="N", help="steps on descriptions, LLM frozen")
    parser.add_argument("--question-steps", type=_STEPS, metavar="N", help="steps on all questions")
    parser.add_argument("--batch-size", type=integer(1, 4096), metavar="N", help="clips a step")
    parser.add_argument("--freeze-language", action="store_true", help="train nothing inside the LLM")
    help_text = "train in the LLM only the factors of rows and norms: a smaller adapter file"
    parser.add_argument("--keep-minimums", action="store_true", help=help_text)
    parser.add_argument("--threads", type=integer(1, 1024), metavar="N", help="CPU threads")
    parser.add_argument("--seed", type=integer(0, 1 << 31), metavar="N", help="of all choices")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Train and print the path of the adapter."""
    from redvillm.training.options import TrainingOptions
    from redvillm.training.recipe import prepare, run_recipe
    from redvillm.zoo import model_named, weights_path

    model = model_named(arguments.model)
    chosen = {
        name: getattr(arguments, name)
        for name in ("warm_start_steps", "caption_steps", "question_steps", "batch_size", "threads", "seed")
        if getattr(arguments, name) is not None
    }
    options = TrainingOptions(
        questions=tuple(arguments.questions),
        captions=tuple(arguments.captions),
        held_out=arguments.held_out,
        run=arguments.run_folder,
        vision_checkpoint=arguments.vision or weights_path(model.vision),
        language_checkpoint=arguments.language or weights_path(model.llm),
        start_from=arguments.start_from,
        start_share=arguments.start_share,
        emphasis=None if arguments.emphasis is None else tuple(arguments.emphasis),
        tune_language=not arguments.freeze_language,
        tune_minimums=not (arguments.freeze_language or arguments.keep_minimums),
        **chosen,
    )
    adapter = run_recipe(prepare(options))
    is_own = arguments.vision or arguments.language
    command = f"redvillm export {arguments.run_folder} --out bundle" if is_own else f"redvillm export {arguments.model} --adapter {adapter}"
    print(f"the adapter is in {adapter}; '{command}' makes a bundle with it", file=sys.stderr)
    print(adapter)
    return 0
