import json
import math

import numpy as np
import onnx
import onnxruntime
import pytest
import tiny_llama
import torch
from cached_decoder import CachedDecoder, use_exact_activations
from ort_op import require_library

from redvillm.errors import ExportError
from redvillm.export.gguf import EMBEDDING, GgufFile
from redvillm.export.llama import load_llama
from redvillm.export.tuning import NO_TUNING, LanguageTuning
from redvillm.files import sha256_of
from redvillm.kernels.decoder_library import decoder_op_calls
from redvillm.manifest import Files, Graphs

NUM_LAYERS, MAX_CONTEXT_TOKENS = tiny_llama.NUM_LAYERS, tiny_llama.MAX_CONTEXT_TOKENS
# Queries, keys, values and the attended rows are float16, 2^-11 each: over two layers of random weights, up to 4e-3 of the largest logit.
HALF_PRECISION = 6e-3


def export(folder, *, tuning=NO_TUNING, **options):
    gguf_path = tiny_llama.write_gguf(folder / "m.gguf", **options)
    (folder / "out").mkdir()
    return gguf_path, folder / "out", tiny_llama.export_language(gguf_path, folder / "out", tuning=tuning)


def reference_logits(gguf_path, ids, tuning=NO_TUNING):
    with torch.inference_mode():
        return load_llama(gguf_path, tuning=tuning)(torch.tensor([ids])).logits[0].numpy()


def random_ids(count, seed=0):
    return np.random.default_rng(seed).integers(0, len(tiny_llama.VOCABULARY), count).tolist()


@pytest.mark.parametrize(("layers", "tied"), [("Q4_1", True), ("Q4_1", False), ("Q4_0", True), ("Q8_0", True)])
def test_logits_equal_the_reference_with_exact_activations(tmp_path, layers, tied):
    gguf_path, folder, report = export(tmp_path, layers=layers, tied=tied)
    use_exact_activations(folder)
    ids = random_ids(97)
    table = GgufFile(gguf_path).dequantize(EMBEDDING)
    expected = reference_logits(gguf_path, ids)
    # weights are the same values
    np.testing.assert_allclose(
        CachedDecoder(folder, report).run(table[ids], range(97)), expected, rtol=0, atol=HALF_PRECISION * np.abs(expected).max()
    )


def random_tuning(seed=1):
    """Changes of every matrix and norm, as large as training makes them."""
    random = np.random.default_rng(seed)
    weights = tiny_llama.random_weights(0)
    matrices = {name: values.shape for name, values in weights.items() if name.startswith("blk.") and values.ndim == 2}
    norms = [name for name, values in weights.items() if values.ndim == 1]
    return LanguageTuning(
        row_scales={name: random.normal(0, 0.2, rows).astype(np.float32) for name, (rows, _) in matrices.items()},
        minimum_shifts={name: random.normal(0, 0.02, (rows, columns // 32)).astype(np.float32) for name, (rows, columns) in matrices.items()},
        norms={name: random.normal(0, 0.2, tiny_llama.WIDTH).astype(np.float32) for name in norms},
    )


@pytest.mark.parametrize("kernels", ["function bodies", "custom"])
@pytest.mark.parametrize("layers", ["Q4_1", "Q4_0", "Q8_0"])
def test_a_tuned_decoder_equals_the_tuned_reference(tmp_path, layers, kernels):
    tuning = random_tuning()
    gguf_path, folder, report = export(tmp_path, layers=layers, tuning=tuning)
    ids = random_ids(41)
    if kernels == "function bodies":
        use_exact_activations(folder)
    decoder = CachedDecoder(folder, report, library=require_library() if kernels == "custom" else None)
    value = decoder.run(GgufFile(gguf_path).dequantize(EMBEDDING)[ids], range(41))
    expected, untuned = reference_logits(gguf_path, ids, tuning), reference_logits(gguf_path, ids)

    def smallest_cosine(x, y):
        return ((x * y).sum(-1) / np.linalg.norm(x, axis=-1) / np.linalg.norm(y, axis=-1)).min()

    assert smallest_cosine(untuned, expected) < 0.9  # the tuning matters
    # scales and minimums are float16 again, 2^-11 each; the kernels round activations to 8 bits too
    assert smallest_cosine(value, expected) > (0.9999 if kernels == "function bodies" else 0.99)


@pytest.mark.parametrize("pieces", [[1] * 11, [19, 1, 1, 7], [1, 40], [2, 3, 5]])
def test_the_cache_continues_in_any_division(tmp_path, pieces):
    gguf_path, folder, report = export(tmp_path)
    use_exact_activations(folder)
    ids = random_ids(sum(pieces), seed=len(pieces))
    decoder, embeddings = CachedDecoder(folder, report), GgufFile(gguf_path).dequantize(EMBEDDING)[ids]
    logits = [decoder.run(part, range(len(part))) for part in np.split(embeddings, np.cumsum(pieces)[:-1])]
    expected = reference_logits(gguf_path, ids)
    np.testing.assert_allclose(np.concatenate(logits), expected, rtol=0, atol=HALF_PRECISION * np.abs(expected).max())


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("pieces", [[1] * 11, [19, 1, 1, 7], [1, 90], [2, 3, 5]])
def test_the_kernels_give_the_same_bits_in_any_division(tmp_path, pieces, threads):
    """Sums have one order whatever is computed together, so a draft that is verified at once gets the logits of one step after the other."""
    gguf_path, folder, report = export(tmp_path)
    embeddings = GgufFile(gguf_path).dequantize(EMBEDDING)[random_ids(sum(pieces), seed=len(pieces))]
    expected = CachedDecoder(folder, report, library=require_library()).run(embeddings, range(len(embeddings)))
    decoder = CachedDecoder(folder, report, library=require_library(), threads=threads)
    logits = [decoder.run(part, range(len(part))) for part in np.split(embeddings, np.cumsum(pieces)[:-1])]
    np.testing.assert_array_equal(np.concatenate(logits), expected)


@pytest.mark.parametrize("kernels", ["function bodies", "custom"])
@pytest.mark.parametrize(("layers", "tied"), [("Q4_1", True), ("Q4_1", False), ("Q4_0", True), ("Q8_0", True)])
def test_8_bit_activations_cost_little(tmp_path, layers, tied, kernels):
    gguf_path, folder, report = export(tmp_path, layers=layers, tied=tied)
    ids = random_ids(97)
    calls = decoder_op_calls() if kernels == "custom" else None
    decoder = CachedDecoder(folder, report, library=require_library() if kernels == "custom" else None)
    value = decoder.run(GgufFile(gguf_path).dequantize(EMBEDDING)[ids], range(97))
    expected = reference_logits(gguf_path, ids)
    cosines = (value * expected).sum(-1) / np.linalg.norm(value, axis=-1) / np.linalg.norm(expected, axis=-1)
    # up to 1/254 of a block's largest value in each matrix; random weights on 64 channels do not average that out as a trained model does
    assert np.median(cosines) > 0.999
    assert cosines.min() > 0.99
    if calls is not None:
        assert decoder_op_calls() - calls == 5 * NUM_LAYERS + 1  # four linear layers and the attention, and the head


@pytest.mark.parametrize("rows", [[], [0], [6], [5, 0, 5]])
def test_logits_come_for_the_asked_rows_only(tmp_path, rows):
    gguf_path, folder, report = export(tmp_path)
    embeddings = GgufFile(gguf_path).dequantize(EMBEDDING)[random_ids(7)]
    everything = CachedDecoder(folder, report).run(embeddings, range(7))
    logits = CachedDecoder(folder, report).run(embeddings, rows)
    assert logits.shape == (len(rows), len(tiny_llama.VOCABULARY))
    # the kernel may choose another order of sums for another number of rows
    np.testing.assert_allclose(logits, everything[rows], rtol=0, atol=1e-4 * np.abs(everything).max())


def test_report_and_graph_agree(tmp_path):
    _, folder, report = export(tmp_path)
    assert (report.num_layers, report.num_kv_heads, report.head_width) == (2, 2, 16)
    assert (report.llm_width, report.vocabulary_size, report.max_context_tokens) == (64, len(tiny_llama.VOCABULARY), MAX_CONTEXT_TOKENS)
    session = onnxruntime.InferenceSession(folder / Graphs.DECODER, providers=["CPUExecutionProvider"])
    for given_tensors, described in ((session.get_inputs(), report.graph.inputs), (session.get_outputs(), report.graph.outputs)):
        types = {"float32": "tensor(float)", "float16": "tensor(float16)", "int64": "tensor(int64)", "int32": "tensor(int32)"}
        assert [(tensor.name, types[spec.dtype], list(spec.shape)) for tensor, spec in zip(given_tensors, described, strict=True)] == [
            (tensor.name, tensor.type, tensor.shape) for tensor in given_tensors
        ]
        assert [tensor.name for tensor in given_tensors] == [spec.name for spec in described]


def test_files_are_complete_and_nothing_else(tmp_path):
    _, folder, _ = export(tmp_path)
    graphs = {Graphs.DECODER, f"{Graphs.DECODER}.data"}
    assert {path.name for path in folder.iterdir()} == graphs | {Files.EMBEDDING_CODES, Files.EMBEDDING_SCALES, Files.TOKENIZER}
    json.loads((folder / Files.TOKENIZER).read_text(encoding="utf-8"))


def test_a_tied_head_reads_the_embedding_files(tmp_path):
    """The table is stored once: the head's constants point into the .npy files."""
    _, folder, _ = export(tmp_path)
    tensors = {tensor.name: tensor for tensor in onnx.load(folder / Graphs.DECODER, load_external_data=False).graph.initializer}
    for name, file_name in (("head.codes", Files.EMBEDDING_CODES), ("head.scales", Files.EMBEDDING_SCALES)):
        entries = {entry.key: entry.value for entry in tensors[name].external_data}
        stored = np.load(folder / file_name, allow_pickle=False)
        assert entries["location"] == file_name
        assert math.prod(tensors[name].dims) == stored.size
        assert (folder / file_name).read_bytes()[int(entries["offset"]) :][: int(entries["length"])] == stored.tobytes()


def test_the_same_input_gives_the_same_bytes(tmp_path):
    fingerprints = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        _, folder, _ = export(tmp_path / name)
        fingerprints.append({path.name: sha256_of(path) for path in folder.iterdir()})
    assert fingerprints[0] == fingerprints[1]


@pytest.mark.parametrize("max_context_tokens", [0, 257])
def test_a_context_that_was_not_trained_is_refused(tmp_path, max_context_tokens):
    with pytest.raises(ExportError, match="trained for 1 to 256"):
        tiny_llama.export_language(tiny_llama.write_gguf(tmp_path / "m.gguf"), tmp_path, max_context_tokens=max_context_tokens)
