"""Exporting the language half of a bundle: decoder, embeddings and tokenizer.

Puts the parts together; knows no format and no operator.
"""

from dataclasses import dataclass
from pathlib import Path

from redvillm.errors import ExportError
from redvillm.export.decoder_graph import DecoderGraph, decoder_spec
from redvillm.export.decoder_source import DecoderSource
from redvillm.export.embeddings import write_embeddings
from redvillm.files import atomic_file
from redvillm.manifest import Files, GraphSpec


@dataclass(frozen=True, kw_only=True)
class DecoderReport:
    """What the manifest must know of an exported decoder."""

    num_layers: int
    num_kv_heads: int
    head_width: int
    llm_width: int
    vocabulary_size: int
    max_context_tokens: int
    graph: GraphSpec


def export_decoder(source: DecoderSource, folder: Path, *, max_context_tokens: int, tokenizer_json: str, in_half: bool = False) -> DecoderReport:
    """Write decoder.onnx with its data, the embedding table and the tokenizer into `folder`. The same source gives the same bytes.

    `in_half` is for GPUs: matrices that the source has in float16 are multiplied in float16.

    Raises:
        ExportError: the source cannot be read, is of sizes that the operators do not take, or has a shorter context.
        StorageError: the disk is full or not writable.
    """
    sizes = source.sizes
    if not 1 <= max_context_tokens <= sizes.max_context_tokens:
        raise ExportError(f"max_context_tokens is {max_context_tokens}; {source.origin} was trained for 1 to {sizes.max_context_tokens}")
    _write_text(folder / Files.TOKENIZER, tokenizer_json)
    spec = decoder_spec(sizes)
    DecoderGraph(source, write_embeddings(source.embedding(), folder), folder, max_context_tokens, in_half=in_half).writer.write(spec)
    return DecoderReport(
        num_layers=sizes.num_layers,
        num_kv_heads=sizes.num_kv_heads,
        head_width=sizes.head_width,
        llm_width=sizes.width,
        vocabulary_size=sizes.vocabulary_size,
        max_context_tokens=max_context_tokens,
        graph=spec,
    )


def _write_text(path: Path, text: str) -> None:
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
