"""What each precision of an LLM costs: size, and how far its predictions of a text are from those of the LLM before it was quantized.

    python -m redvillm.benchmarks.precision_cost TEXT [--llm FOLDER]

The decoder of every precision is exported and run with the kernels that the runtime has, and reads the text in passages. Without --llm it is the
LLM of redvillm-nano, which comes in 4 bits already, in another basis (see rotated.py), so that there is something to lose. Knows text, decoders and
figures; does not know vision.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich import box
from rich.console import Console
from rich.progress import track
from rich.table import Table

from redvillm import zoo
from redvillm.benchmarks.machine import describe_machine
from redvillm.benchmarks.rotated import rotated
from redvillm.export.checkpoint_plan import DECODER_PRECISIONS
from redvillm.export.decoder import export_decoder
from redvillm.export.float_quantization import WeightFormat
from redvillm.export.graph_run import FloatArray, GraphDecoder
from redvillm.export.text_llms import is_gguf, load_text_llm, read_text_side
from redvillm.export.torch_source import TorchSource
from redvillm.kernels.ort_library import ort_library_path
from redvillm.manifest import PLAIN_ROTARY, Dimensions, Graphs
from redvillm.prompt import Prompt

PASSAGE_TOKENS = 256


@dataclass(frozen=True, kw_only=True)
class PrecisionCost:
    """One precision.

    size_mb: of the decoder with embeddings and head, in 10^6 bytes.
    perplexity_ratio: of the text, to that of the LLM before it was quantized.
    divergence_nat: mean Kullback-Leibler divergence of the next-token distributions from those of that LLM.
    same_best_share: of positions at which both find the same token likeliest.
    """

    precision: str
    size_mb: float
    perplexity_ratio: float
    divergence_nat: float
    same_best_share: float


def measure(llm: Any, passages: Sequence[Sequence[int]], precisions: Sequence[str]) -> tuple[float, list[PrecisionCost]]:
    """Return the perplexity of the LLM as it is, and the cost of each precision; the first token of a passage is not predicted."""
    expected = [_log_shares(logits) for logits in _read(llm, passages)]
    plain = _likelihood(expected, passages)
    costs = []
    for precision in track(precisions, description="precisions", console=Console(stderr=True)):
        with tempfile.TemporaryDirectory() as place:
            found = [_log_shares(logits) for logits in _read_exported(llm, DECODER_PRECISIONS[precision], passages, Path(place))]
            size = sum(path.stat().st_size for path in Path(place).iterdir())
        pairs = list(zip(expected, found, strict=True))
        costs.append(
            PrecisionCost(
                precision=precision,
                size_mb=size / 1e6,
                perplexity_ratio=float(np.exp(plain - _likelihood(found, passages))),
                divergence_nat=float(np.mean(np.concatenate([(np.exp(wanted) * (wanted - got)).sum(1) for wanted, got in pairs]))),
                same_best_share=float(np.mean(np.concatenate([wanted.argmax(1) == got.argmax(1) for wanted, got in pairs]))),
            )
        )
    return float(np.exp(-plain)), costs


def _read(llm: Any, passages: Sequence[Sequence[int]]) -> Iterator[FloatArray]:
    with torch.inference_mode():
        for ids in passages:
            yield llm(torch.tensor([list(ids)])).logits[0].float().numpy()


def _read_exported(llm: Any, form: WeightFormat, passages: Sequence[Sequence[int]], folder: Path) -> Iterator[FloatArray]:
    source = TorchSource(llm.model, llm.lm_head, form, origin="the LLM")
    report = export_decoder(source, folder, max_context_tokens=PASSAGE_TOKENS, tokenizer_json="{}")
    table = source.embedding().dequantize()
    sizes = Dimensions(
        num_frames=1,
        num_patches=1,
        vision_width=1,
        llm_width=report.llm_width,
        num_motion_tokens=0,
        vocabulary_size=report.vocabulary_size,
        num_layers=report.num_layers,
        num_kv_heads=report.num_kv_heads,
        head_width=report.head_width,
        max_context_tokens=PASSAGE_TOKENS,
    )
    for ids in passages:
        decoder = GraphDecoder(folder / Graphs.DECODER, sizes, PLAIN_ROTARY, library=ort_library_path())
        yield decoder.run(table[list(ids)], range(len(ids)))


def _log_shares(logits: FloatArray) -> np.ndarray[Any, np.dtype[np.float64]]:
    wide = logits.astype(np.float64)
    return np.asarray(wide - np.logaddexp.reduce(wide, axis=1, keepdims=True))


def _likelihood(shares: Sequence[Any], passages: Sequence[Sequence[int]]) -> float:
    """Mean log-likelihood of a token, nat."""
    return float(np.mean(np.concatenate([share[np.arange(len(ids) - 1), list(ids)[1:]] for share, ids in zip(shares, passages, strict=True)])))


def _passages(text: str, prompt: Prompt) -> list[list[int]]:
    ids = prompt.tokenizer.encode(text, add_special_tokens=False).ids
    return [part for start in range(0, len(ids), PASSAGE_TOKENS) if len(part := ids[start : start + PASSAGE_TOKENS]) > 1]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and print a table and one JSON line."""
    parser = argparse.ArgumentParser(prog="python -m redvillm.benchmarks.precision_cost", description="What each precision of an LLM costs.")
    parser.add_argument("text", type=Path, metavar="TEXT", help="a file of text")
    parser.add_argument("--llm", type=Path, metavar="FOLDER", help="a folder of transformers (default: the LLM of redvillm-nano, in another basis)")
    given = parser.parse_args(arguments)
    path = given.llm or zoo.weights_path(zoo.model_named(zoo.DEFAULT_MODEL).llm)
    text_side, llm = read_text_side(path, ""), load_text_llm(path, torch.float32)
    if is_gguf(path):
        llm = rotated(llm)
    passages = _passages(given.text.read_text(encoding="utf-8"), Prompt(text_side.tokenizer_json, text_side.prompt))
    perplexity, costs = measure(llm, passages, tuple(DECODER_PRECISIONS))
    machine, versions = describe_machine(), {name: metadata.version(name) for name in ("redvillm", "onnxruntime", "torch", "transformers")}
    _print(costs, f"{path.name}{' in another basis' if is_gguf(path) else ''}", perplexity, sum(map(len, passages)))
    print(json.dumps({"llm": path.name, "perplexity": perplexity, "precisions": list(map(asdict, costs)), "versions": versions, **asdict(machine)}))
    return 0


def _print(costs: Sequence[PrecisionCost], name: str, perplexity: float, num_tokens: int) -> None:
    table = Table("precision", "MB", "perplexity", "divergence, nat", "same best token", box=box.SIMPLE)
    for cost in costs:
        change, share = f"{100 * (cost.perplexity_ratio - 1):+.2f} %", f"{100 * cost.same_best_share:.1f} %"
        table.add_row(cost.precision, f"{cost.size_mb:.0f}", change, f"{cost.divergence_nat:.4f}", share)
    console = Console()
    console.print(f"{name}: perplexity {perplexity:.2f} over {num_tokens} tokens before it is quantized", highlight=False)
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())
