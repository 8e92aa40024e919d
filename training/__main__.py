"""Command line of the training recipe."""

import argparse
import sys
from pathlib import Path

from redvillm.errors import RedvillmError
from redvillm.training.options import TrainingOptions
from redvillm.training.recipe import evaluate, prepare, run_recipe


def main(arguments: list[str] | None = None) -> int:
    """Run the recipe; go on where an earlier run of the same folder stopped."""
    parser = argparse.ArgumentParser(prog="python -m redvillm.training", description="Train the adapter of redvillm-nano.")
    parser.add_argument("--data", type=Path, required=True, help="folder with flickr8k/ and caltech101/")
    parser.add_argument("--run", type=Path, required=True, help="folder for features, checkpoints and reports")
    parser.add_argument("--vision", type=Path, required=True, help="EfficientNet-Lite0 checkpoint (.pth)")
    parser.add_argument("--language", type=Path, required=True, help="SmolLM2-135M-Instruct, Q4_1 (.gguf)")
    parser.add_argument("--steps", type=int, default=TrainingOptions.train_steps)
    parser.add_argument("--batch-size", type=int, default=TrainingOptions.batch_size)
    parser.add_argument("--threads", type=int, default=TrainingOptions.threads)
    parser.add_argument("--seed", type=int, default=TrainingOptions.seed)
    parser.add_argument("--evaluate", action="store_true", help="measure the adapter of the run on its test split instead of training")
    parser.add_argument("--max-clips", type=int, help="with --evaluate: at most so many clips of each kind")
    given = parser.parse_args(arguments)
    try:
        options = TrainingOptions(
            data=given.data,
            run=given.run,
            vision_checkpoint=given.vision,
            language_checkpoint=given.language,
            train_steps=given.steps,
            batch_size=given.batch_size,
            threads=given.threads,
            seed=given.seed,
        )
        recipe = prepare(options)
        if given.evaluate:
            print(evaluate(recipe, given.max_clips))
        else:
            run_recipe(recipe)
    except RedvillmError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
