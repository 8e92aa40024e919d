"""Quantizing floats in blocks, against gguf's quantizers and exhaustive bounds."""

import gguf
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from redvillm.errors import ExportError, OptionsError
from redvillm.export.float_quantization import BlockFormat, quantize

FORMATS = {"Q4_1": BlockFormat(bits=4, symmetric=False), "Q4_0": BlockFormat(bits=4, symmetric=True), "Q8_0": BlockFormat(bits=8, symmetric=True)}
BLOCKS = npst.arrays(np.float32, (2, 64), elements=st.floats(-1e3, 1e3, width=32))


def gguf_error(values, name):
    kind = gguf.GGMLQuantizationType[name]
    return np.square(gguf.dequantize(gguf.quantize(values, kind), kind) - values).sum()


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("shape", [(1, 32), (7, 96), (300, 64)])
def test_errors_are_no_larger_than_those_of_gguf(name, shape):
    values = np.random.default_rng(1).normal(0.01, 0.05, shape).astype(np.float32)
    error = np.square(quantize(values, FORMATS[name]).dequantize() - values).sum()
    reference = gguf_error(values, name)
    assert error <= reference * (1.001 if name == "Q8_0" else 0.95)  # the search pays


@settings(max_examples=60, deadline=None)
@given(values=BLOCKS, name=st.sampled_from(sorted(FORMATS)))
def test_no_error_is_larger_than_a_step(values, name):
    form = FORMATS[name]
    got = quantize(values, form).dequantize()
    blocks = values.reshape(2, 2, 32)
    span = np.abs(blocks).max(-1) if form.symmetric else blocks.max(-1) - blocks.min(-1)
    largest = np.abs(blocks).max(-1)
    # codes that are cut off at the end of a tried range may cost more than half a step; the fit cannot be worse in sum than the whole range
    step = span / {4: 7.5, 8: 127}[form.bits] + largest * 2**-9 + 2**-13
    assert (np.square(got.reshape(2, 2, 32) - blocks).sum(-1) <= 32 * step**2).all()


def test_zeros_and_constants_stay():
    for form in FORMATS.values():
        assert (quantize(np.zeros((3, 32), np.float32), form).dequantize() == 0).all()
    constant = np.full((2, 64), -0.75, np.float32)
    np.testing.assert_allclose(quantize(constant, FORMATS["Q4_1"]).dequantize(), constant, rtol=2**-10)


def test_a_matrix_of_many_rows_is_the_same_in_parts():
    values = np.random.default_rng(2).normal(size=(600, 32)).astype(np.float32)
    whole, part = quantize(values, FORMATS["Q4_1"]), quantize(values[255:258], FORMATS["Q4_1"])
    assert (whole.codes[255:258] == part.codes).all()
    assert (whole.scales[255:258] == part.scales).all()


def test_bits_a_weight():
    assert [form.bits_a_weight for form in FORMATS.values()] == [5.0, 4.5, 8.5]


def test_what_cannot_be_quantized():
    with pytest.raises(ExportError, match="blocks of 32"):
        quantize(np.zeros((2, 48), np.float32), FORMATS["Q4_1"])
    with pytest.raises(ExportError, match="not finite"):
        quantize(np.full((2, 32), np.nan, np.float32), FORMATS["Q4_1"])
    with pytest.raises(OptionsError, match="4, 8"):
        BlockFormat(bits=3, symmetric=True)
