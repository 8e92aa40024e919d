"""redvillm::BlockLinear and redvillm::CachedAttention in ONNX Runtime: the custom kernels, the functions that stand for them, and refusals."""

import itertools

import numpy as np
import pytest
from block_weights import normed, random_weights, silu_gate
from ort_op import open_with_op

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

from onnx import helper, numpy_helper  # noqa: E402

from redvillm.export.decoder_functions import LinearParts, block_linear_function, cached_attention_function  # noqa: E402

WIDTH, ROWS, EPSILON = 96, 64, 0.1
PARTS = [
    LinearParts(bits=bits, minimums=minimums, norm=norm, gate=gate, residual=residual)
    for bits, minimums, norm, gate, residual in itertools.product((4, 8), (True, False), (True, False), (True, False), (True, False))
    if not (bits == 8 and minimums)
]
RANDOM = np.random.default_rng(7)
NORM = RANDOM.uniform(0.5, 2, WIDTH).astype(np.float32)


def serialized(node, inputs, outputs, constants, functions):
    described = [[helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in side.items()] for side in (inputs, outputs)]
    graph = helper.make_graph([node], "g", *described, [numpy_helper.from_array(value, name) for name, value in constants.items()])
    opsets = [helper.make_opsetid(domain, version) for domain, version in (("", 21), ("com.microsoft", 1), ("redvillm", 1))]
    return helper.make_model(graph, opset_imports=opsets, functions=functions, ir_version=10).SerializeToString()


def linear_graph(parts, *, given=None, attributes=None, constants=None):
    """One node over x [S, WIDTH]; `given` replaces constants, `attributes` replaces attributes."""
    weights = random_weights(ROWS, WIDTH, bits=parts.bits, minimums=parts.minimums)
    codes, scales, minimums = weights.tiled()
    values = {"codes": codes, "scales": scales}
    values |= {"minimums": minimums} if parts.minimums else {}
    values |= {"norm_weight": NORM} if parts.norm else {}
    values |= given or {}
    outputs = ROWS // 2 if parts.gate else ROWS
    inputs = {"x": (1, ["S", WIDTH])} | ({"residual": (1, ["S", outputs])} if parts.residual else {})
    names = [name if name in {**values, **inputs} else "" for name in ("x", "codes", "scales", "minimums", "norm_weight", "residual")]
    while not names[-1]:
        names.pop()
    function = block_linear_function(parts)
    settings = {
        "bits": parts.bits,
        "num_inputs": WIDTH,
        "num_outputs": ROWS,
        "epsilon": EPSILON,
        "activation": "silu_gate" if parts.gate else "none",
    }
    node = helper.make_node(function.name, names, ["y"], domain="redvillm", **{**settings, **(attributes or {})})
    return serialized(node, inputs, {"y": (1, ["S", outputs])}, values, [function]), weights


def run_linear(session, parts, x, residual):
    return session.run(None, {"x": x} | ({"residual": residual} if parts.residual else {}))[0]


@pytest.mark.parametrize("parts", PARTS, ids=lambda parts: parts.operator)
@pytest.mark.parametrize("tokens", [1, 19])
@pytest.mark.parametrize("kernels", ["function body", "custom"])
def test_every_form_of_a_linear_layer(parts, tokens, kernels):
    graph, weights = linear_graph(parts)
    x = RANDOM.standard_normal((tokens, WIDTH)).astype(np.float32)
    residual = RANDOM.standard_normal((tokens, ROWS // 2 if parts.gate else ROWS)).astype(np.float32)
    session = open_with_op(graph) if kernels == "custom" else onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    expected = (normed(x, NORM, EPSILON) if parts.norm else x) @ weights.values().T
    expected = silu_gate(expected) if parts.gate else expected
    expected = expected + residual if parts.residual else expected
    # inputs in 8 bits: up to 1/254 of the largest of a block, 96 of them of random signs
    np.testing.assert_allclose(run_linear(session, parts, x, residual), expected, rtol=0, atol=0.03 * np.abs(expected).max())


@pytest.mark.parametrize("threads", [1, 2])
def test_no_tokens_give_no_rows(threads):
    graph, _ = linear_graph(LinearParts(bits=4, minimums=True))
    session = open_with_op(graph, threads=threads)
    assert session.run(None, {"x": np.zeros((0, WIDTH), np.float32)})[0].shape == (0, ROWS)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"attributes": {"bits": 5}}, "bits is 5; 4 and 8 are legal"),
        ({"attributes": {"activation": "tanh"}}, "'none' and 'silu_gate' are legal"),
        ({"attributes": {"num_outputs": 0}}, "num_outputs is 0"),
        ({"attributes": {"num_outputs": 65}}, r"codes are \[4, 3, 4, 16, 4\]; \[5, K / 32, 4, 16, 4\] is wanted"),
        ({"given": {"scales": np.zeros((4, 2, 16), np.float16)}}, r"scales are \[4, 2, 16\]; \[4, 3, 16\] is wanted"),
        ({"given": {"norm_weight": np.zeros(95, np.float32)}}, r"norm_weight are \[95\]; \[96\] is wanted"),
    ],
)
def test_wrong_weights_are_refused_when_the_graph_is_opened(change, words):
    graph, _ = linear_graph(LinearParts(bits=4, minimums=True, norm=True), **change)
    with pytest.raises(Exception, match=words):
        open_with_op(graph)


def test_wrong_inputs_are_refused():
    parts = LinearParts(bits=4, minimums=True, residual=True)
    session = open_with_op(linear_graph(parts)[0])
    x, residual = np.zeros((2, WIDTH), np.float32), np.zeros((3, ROWS), np.float32)
    with pytest.raises(Exception, match=r"residual is \[3, 64\]; \[2, 64\] is wanted"):
        run_linear(session, parts, x, residual)


HEADS, KV_HEADS, HEAD_WIDTH, POSITIONS = 4, 2, 16, 80


def tables(positions):
    angles = np.outer(positions, 10000.0 ** (-np.arange(0, HEAD_WIDTH, 2) / HEAD_WIDTH))
    return {"cosines": np.cos(angles).astype(np.float32), "sines": np.sin(angles).astype(np.float32)}


def attention_session(*, custom, tables_as_inputs=False, **attributes):
    function = cached_attention_function()
    constants = tables(np.arange(POSITIONS))
    cache = (10, [1, KV_HEADS, "C", HEAD_WIDTH])
    inputs = {"packed": (1, ["S", (HEADS + 2 * KV_HEADS) * HEAD_WIDTH]), "past_key": cache, "past_value": cache}
    inputs |= {"last_position": (6, [1]), "sequence_length": (6, [])}
    outputs = {"attended": (1, ["S", HEADS * HEAD_WIDTH]), "present_key": cache, "present_value": cache}
    settings = {"num_heads": HEADS, "kv_num_heads": KV_HEADS, **attributes}
    node = helper.make_node("CachedAttention", [*inputs, *constants], list(outputs), domain="redvillm", **settings)
    if tables_as_inputs:
        inputs, constants = inputs | dict.fromkeys(constants, (1, ["P", "W"])), {}
    graph = serialized(node, inputs, outputs, constants, [function])
    return open_with_op(graph) if custom else onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])


def feeds(packed, cache, length):
    lengths = {"last_position": np.array([length - 1], np.int32), "sequence_length": np.array(length, np.int32)}
    return {"packed": packed, "past_key": cache[0], "past_value": cache[1], **lengths}


def empty_cache(positions=POSITIONS):
    return [np.zeros((1, KV_HEADS, positions, HEAD_WIDTH), np.float16) for _ in range(2)]


def test_attention_equals_its_function_and_so_do_the_caches():
    packed = RANDOM.standard_normal((30, (HEADS + 2 * KV_HEADS) * HEAD_WIDTH)).astype(np.float32)
    results = []
    for custom in (True, False):
        session, cache, attended = attention_session(custom=custom), empty_cache(), []
        for first, last in ((0, 20), (20, 21), (21, 30)):
            rows, *cache = session.run(None, feeds(packed[first:last], cache, last))
            attended.append(rows)
        results.append([np.concatenate(attended), *cache])
    for value, expected in zip(*results, strict=True):
        # float16 inside the function: queries, the rotation and what comes out, 2^-11 each
        np.testing.assert_allclose(value.astype(np.float32), expected.astype(np.float32), rtol=0, atol=8e-3)


@pytest.mark.parametrize("custom", [True, False])
def test_tables_may_come_with_each_run(custom):
    packed = RANDOM.standard_normal((9, (HEADS + 2 * KV_HEADS) * HEAD_WIDTH)).astype(np.float32)
    expected = attention_session(custom=custom).run(None, feeds(packed, empty_cache(), 9))
    session = attention_session(custom=custom, tables_as_inputs=True)
    for given, wanted in zip(session.run(None, feeds(packed, empty_cache(), 9) | tables(np.arange(POSITIONS))), expected, strict=True):
        np.testing.assert_array_equal(given, wanted)
    moved, *_ = session.run(None, feeds(packed, empty_cache(), 9) | tables(np.arange(POSITIONS) * 3))
    assert np.abs(moved - expected[0]).max() > 0.05


@pytest.mark.parametrize(("rows", "width", "words"), [(8, 8, "8 in the tables"), (80, 9, r"head_width is 18"), (80, 16, "is wanted for both")])
def test_tables_that_do_not_fit_are_refused(rows, width, words):
    packed = np.zeros((9, (HEADS + 2 * KV_HEADS) * HEAD_WIDTH), np.float32)
    wrong = dict.fromkeys(("cosines", "sines"), np.zeros((rows, width), np.float32))
    with pytest.raises(Exception, match=words):
        attention_session(custom=True, tables_as_inputs=True).run(None, feeds(packed, empty_cache(), 9) | wrong)


def test_a_past_that_is_not_the_present_is_left_alone():
    session, cache = attention_session(custom=True), empty_cache()
    packed = RANDOM.standard_normal((3, (HEADS + 2 * KV_HEADS) * HEAD_WIDTH)).astype(np.float32)
    _, keys, _ = session.run(None, feeds(packed, cache, 3))
    assert not cache[0].any()
    assert keys[:, :, :3].any()
    assert not keys[:, :, 3:].any()


@pytest.mark.parametrize(
    ("tokens", "length", "positions", "words"),
    [(2, 1, 80, "sequence_length is 1 with 2 new tokens"), (2, 41, 40, "40 positions in the cache"), (2, 90, 100, "80 in the tables")],
)
def test_lengths_that_do_not_fit_are_refused(tokens, length, positions, words):
    packed = np.zeros((tokens, (HEADS + 2 * KV_HEADS) * HEAD_WIDTH), np.float32)
    with pytest.raises(Exception, match=words):
        attention_session(custom=True).run(None, feeds(packed, empty_cache(positions), length))


def test_heads_that_do_not_divide_are_refused():
    with pytest.raises(Exception, match="the first must be a multiple of the second"):
        attention_session(custom=True, num_heads=3)
