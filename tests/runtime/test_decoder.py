import numpy as np
import pytest
from ort_op import require_library

from redvillm.errors import ContextOverflowError, OptionsError
from redvillm.kernels.decoder_library import decoder_op_level
from redvillm.manifest import Graphs
from redvillm.runtime import decoder_kernel
from redvillm.runtime.decoder import Decoder
from redvillm.runtime.decoder_kernel import FUNCTION_BODIES, custom_kernels
from redvillm.runtime.session import open_session


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """The exported decoder of the tiny model: its module and the bundle's folder."""
    pytest.importorskip("gguf")
    pytest.importorskip("onnx")
    import tiny_llama

    folder = tmp_path_factory.mktemp("decoder")
    tiny_llama.export_language(tiny_llama.write_gguf(folder / "m.gguf"), folder)
    return tiny_llama, folder


@pytest.fixture(params=["custom kernels", "function bodies"])
def decoder(tiny, request, monkeypatch):
    """The decoder with redvillm's ops and, as where they were not built, without."""
    tiny_llama, folder = tiny
    if request.param == "function bodies":
        monkeypatch.setattr(decoder_kernel, "ort_library_path", lambda: None)
    else:
        require_library()
    session = open_session(folder / Graphs.DECODER, threads=1)
    assert session.decoder_kernel == (custom_kernels(decoder_op_level()) if request.param == "custom kernels" else FUNCTION_BODIES)
    return Decoder(session, tiny_llama.make_manifest().dimensions, 40)


def embeddings_of(count, seed=0):
    return np.random.default_rng(seed).normal(size=(count, 64)).astype(np.float32)


def test_steps_equal_one_pass(decoder):
    embeddings = embeddings_of(23)
    whole = decoder.forward(embeddings, range(23))
    decoder.rewind(0)
    steps = np.concatenate([decoder.forward(embeddings[index : index + 1], [0]) for index in range(23)])
    assert decoder.length == 23
    # one row and many rows take different kernels: another order of float32 sums, at times another rounding of an activation to 8 bits
    np.testing.assert_allclose(steps, whole, rtol=0, atol=0.02 * np.abs(whole).max())


def test_rewinding_forgets_without_a_trace(decoder):
    prefix, first, second = embeddings_of(9), embeddings_of(7, seed=1), embeddings_of(5, seed=2)
    decoder.forward(prefix, [])
    expected = decoder.forward(second, [4])
    decoder.rewind(9)
    decoder.forward(first, [0])
    decoder.rewind(9)
    np.testing.assert_array_equal(decoder.forward(second, [4]), expected)


def test_two_decoders_do_not_share_a_cache(tiny):
    tiny_llama, folder = tiny
    session, dimensions = open_session(folder / Graphs.DECODER, threads=1), tiny_llama.make_manifest().dimensions
    one, other = Decoder(session, dimensions, 40), Decoder(session, dimensions, 30)
    one.forward(embeddings_of(4), [])
    expected = one.forward(embeddings_of(1, seed=1), [0])
    one.rewind(4)
    other.forward(embeddings_of(6, seed=2), [])
    np.testing.assert_array_equal(one.forward(embeddings_of(1, seed=1), [0]), expected)


def test_non_contiguous_embeddings(decoder):
    embeddings = embeddings_of(6)
    expected = decoder.forward(embeddings[::2].copy(), [2])
    decoder.rewind(0)
    np.testing.assert_array_equal(decoder.forward(embeddings[::2], [2]), expected)


def test_logits_stay_as_they_were_returned(decoder):
    first = decoder.forward(embeddings_of(2), [1])
    copy = first.copy()
    decoder.forward(embeddings_of(1, seed=5), [0])
    np.testing.assert_array_equal(first, copy)


def test_overflow_is_an_error_and_leaves_the_cache(decoder):
    decoder.forward(embeddings_of(38), [])
    with pytest.raises(ContextOverflowError, match="38 tokens are in the context and 3 more do not fit: it holds 40"):
        decoder.forward(embeddings_of(3), [2])
    assert decoder.length == 38
    assert decoder.forward(embeddings_of(2), [1]).shape[0] == 1
    assert decoder.length == 40


@pytest.mark.parametrize("length", [-1, 4])
def test_illegal_rewind(decoder, length):
    decoder.forward(embeddings_of(3), [])
    with pytest.raises(OptionsError, match="0 to 3 are legal"):
        decoder.rewind(length)


@pytest.mark.parametrize("embeddings", [np.zeros((0, 64), np.float32), np.zeros((2, 63), np.float32), np.zeros((2, 64)), np.zeros(64, np.float32)])
def test_illegal_embeddings(decoder, embeddings):
    with pytest.raises(OptionsError, match=r"float32 \[1 or more, 64\] is wanted"):
        decoder.forward(embeddings, [])


@pytest.mark.parametrize("row", [-1, 3])
def test_illegal_rows(decoder, row):
    with pytest.raises(OptionsError, match="rows 0 to 2 are legal"):
        decoder.forward(embeddings_of(3), [0, row])
