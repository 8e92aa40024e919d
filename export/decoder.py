"""Exporting the language half of a bundle: decoder, embeddings, tokenizer and chat template of a GGUF file.

Puts the parts together; knows no format and no operator.
"""

from dataclasses import dataclass
from pathlib import Path

from redvillm.errors import ExportError
from redvillm.export.decoder_graph import DecoderGraph, decoder_spec
from redvillm.export.embeddings import write_embeddings
from redvillm.export.gguf import GgufFile
from redvillm.export.tokenizer import read_tokenizer
from redvillm.export.tuning import NO_TUNING, LanguageTuning
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
    stop_token_ids: tuple[int, ...]


def export_decoder(gguf_path: Path, folder: Path, *, max_context_tokens: int, tuning: LanguageTuning = NO_TUNING) -> DecoderReport:
    """Write decoder.onnx with its data, the embedding table, the tokenizer and the chat template into `folder`.

    The quantized values are those of the file, their scales and minimums those of `tuning`. The same file and tuning give the same bytes.

    Raises:
        ExportError: the file is not a GGUF of the Llama architecture in Q4_0, Q4_1 or Q8_0, or has a shorter context; or the
            tuning is made for another model.
        StorageError: the disk is full or not writable.
    """
    source = GgufFile(gguf_path)
    sizes = source.sizes
    if not 1 <= max_context_tokens <= sizes.max_context_tokens:
        raise ExportError(f"max_context_tokens is {max_context_tokens}; {gguf_path} was trained for 1 to {sizes.max_context_tokens}")
    tokenizer_json, chat_template, stop_token_ids = read_tokenizer(gguf_path)
    _write_text(folder / Files.TOKENIZER, tokenizer_json)
    _write_text(folder / Files.CHAT_TEMPLATE, chat_template)
    spec = decoder_spec(sizes)
    DecoderGraph(source, write_embeddings(source, folder), max_context_tokens, tuning).writer.write(folder, spec)
    return DecoderReport(
        num_layers=sizes.num_layers,
        num_kv_heads=sizes.num_kv_heads,
        head_width=sizes.head_width,
        llm_width=sizes.width,
        vocabulary_size=sizes.vocabulary_size,
        max_context_tokens=max_context_tokens,
        graph=spec,
        stop_token_ids=stop_token_ids,
    )


def _write_text(path: Path, text: str) -> None:
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
