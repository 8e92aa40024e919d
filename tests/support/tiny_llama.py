"""A tiny Llama with random weights in a GGUF file, and what a manifest says of it. Imported by tests that have gguf."""

from pathlib import Path

import gguf
import numpy as np

from redvillm.export.chat_template import text_prompt
from redvillm.export.decoder import DecoderReport, export_decoder
from redvillm.export.gguf_source import GgufSource
from redvillm.export.tokenizer import read_prompt
from redvillm.export.tuning import NO_TUNING, LanguageTuning
from redvillm.manifest import PLAIN_ROTARY, SCHEMA_VERSION, Dimensions, FitSpec, Graphs, Manifest

WIDTH, FEED_FORWARD_WIDTH, NUM_LAYERS, NUM_HEADS, NUM_KV_HEADS, HEAD_WIDTH = 64, 96, 2, 4, 2, 16
MAX_CONTEXT_TOKENS = 160
SYSTEM = "You see a video."
SPECIAL_TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
MERGES = ["t h", "th e", "Ġ the", "Ġ a", "i n", "ð Ł"]
TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def byte_tokens() -> list[str]:
    """The 256 characters of byte-level BPE, by byte."""
    kept = [*range(33, 127), *range(161, 173), *range(174, 256)]
    names = {byte: chr(byte) for byte in kept}
    moved = [byte for byte in range(256) if byte not in names]
    names |= {byte: chr(256 + index) for index, byte in enumerate(moved)}
    return [names[byte] for byte in range(256)]


VOCABULARY = [*SPECIAL_TOKENS, *byte_tokens(), *(merge.replace(" ", "") for merge in MERGES)]


def random_weights(seed: int, *, tied: bool = True) -> dict[str, np.ndarray]:
    """Weights by their names in the GGUF file, float32, query and key rows in the order of rotate-half embeddings."""
    random = np.random.default_rng(seed)
    kv_width = NUM_KV_HEADS * HEAD_WIDTH
    shapes = {
        "attn_q": (WIDTH, WIDTH),
        "attn_k": (kv_width, WIDTH),
        "attn_v": (kv_width, WIDTH),
        "attn_output": (WIDTH, WIDTH),
        "ffn_gate": (FEED_FORWARD_WIDTH, WIDTH),
        "ffn_up": (FEED_FORWARD_WIDTH, WIDTH),
        "ffn_down": (WIDTH, FEED_FORWARD_WIDTH),
    }

    def matrix(rows: int, columns: int) -> np.ndarray:  # off-centre, so that the offsets of Q4_1 matter
        return (random.normal(0.02, 1.5 / np.sqrt(columns), (rows, columns))).astype(np.float32)

    weights = {f"blk.{layer}.{part}.weight": matrix(*shape) for layer in range(NUM_LAYERS) for part, shape in shapes.items()}
    norms = [f"blk.{layer}.{part}.weight" for layer in range(NUM_LAYERS) for part in ("attn_norm", "ffn_norm")]
    weights |= {name: random.uniform(0.5, 1.5, WIDTH).astype(np.float32) for name in [*norms, "output_norm.weight"]}
    weights["token_embd.weight"] = matrix(len(VOCABULARY), WIDTH) * 4
    if not tied:
        weights["output.weight"] = matrix(len(VOCABULARY), WIDTH)
    return weights


def stored_type(name: str, layers: str) -> gguf.GGMLQuantizationType:
    kind = "F32" if "norm" in name else "Q8_0" if name in ("token_embd.weight", "output.weight") else layers
    return gguf.GGMLQuantizationType[kind]


def write_gguf(path: Path, *, seed: int = 0, layers: str = "Q4_1", tied: bool = True, metadata: dict[str, str] | None = None) -> Path:
    """Write the model; `layers` is the type of the layers' matrices, `metadata` replaces strings of the header."""
    texts = {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "smollm",
        "tokenizer.chat_template": TEMPLATE,
        **(metadata or {}),
    }
    writer = gguf.GGUFWriter(path, texts.pop("general.architecture", "llama"))
    writer.add_block_count(NUM_LAYERS)
    writer.add_context_length(256)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(FEED_FORWARD_WIDTH)
    writer.add_head_count(NUM_HEADS)
    writer.add_head_count_kv(NUM_KV_HEADS)
    writer.add_rope_freq_base(10000.0)
    writer.add_rope_dimension_count(HEAD_WIDTH)
    writer.add_layer_norm_rms_eps(1e-5)
    for key, value in texts.items():
        writer.add_string(key, value)
    writer.add_token_list(VOCABULARY)
    writer.add_token_types([3] * len(SPECIAL_TOKENS) + [1] * (len(VOCABULARY) - len(SPECIAL_TOKENS)))
    writer.add_token_merges(MERGES)
    writer.add_eos_token_id(2)
    for name, values in random_weights(seed, tied=tied).items():
        kind = stored_type(name, layers)
        stored = interleave(values) if "attn_q" in name or "attn_k" in name else values
        writer.add_tensor(name, gguf.quants.quantize(stored, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def interleave(rows: np.ndarray) -> np.ndarray:
    """Store query or key rows as llama.cpp does: the two halves of every head interleaved."""
    heads = rows.reshape(-1, 2, HEAD_WIDTH // 2, rows.shape[-1])
    return heads.swapaxes(1, 2).reshape(rows.shape)


def make_manifest(*, target: str = "cpu", stop_token_ids: tuple[int, ...] = (0, 2)) -> Manifest:
    """The manifest of a bundle that holds the language half of the tiny model only."""
    return Manifest(
        schema_version=SCHEMA_VERSION,
        name="tiny",
        family="tiny",
        target=target,
        precision={Graphs.DECODER: "int4"},
        dimensions=Dimensions(
            num_frames=4,
            num_patches=4,
            vision_width=8,
            llm_width=WIDTH,
            num_motion_tokens=0,
            vocabulary_size=len(VOCABULARY),
            num_layers=NUM_LAYERS,
            num_kv_heads=NUM_KV_HEADS,
            head_width=HEAD_WIDTH,
            max_context_tokens=MAX_CONTEXT_TOKENS,
        ),
        frames=FitSpec.square(16),
        streams=("spatial", "temporal"),
        graphs={},
        files={},
        prompt=text_prompt(TEMPLATE, SYSTEM, stop_token_ids),
        rotary=PLAIN_ROTARY,
        weights=(),
        parity=(),
        tools={},
    )


def export_language(
    gguf_path: Path, folder: Path, *, tuning: LanguageTuning = NO_TUNING, max_context_tokens: int = MAX_CONTEXT_TOKENS
) -> DecoderReport:
    """Write the language half of a bundle."""
    tokenizer_json, _ = read_prompt(gguf_path, SYSTEM)
    return export_decoder(GgufSource(gguf_path, tuning), folder, max_context_tokens=max_context_tokens, tokenizer_json=tokenizer_json)
