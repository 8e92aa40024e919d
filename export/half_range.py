"""How far the values of a decoder that multiplies in float16 are from the end of that type.

ONNX Runtime's CPU provider computes products of float16 in float32, where a value that a device would store as infinity comes out whole; so the gate
looks at the values themselves. Knows the decoder's inner values; does not know limits.
"""

from pathlib import Path

import numpy as np

from redvillm.export.bisect import decoder_values
from redvillm.export.decoder_graph import products
from redvillm.export.half_weights import HalfWeights
from redvillm.export.parity_language import PromptSequence
from redvillm.export.parity_vision import Values
from redvillm.export.plan import BundlePlan

HALF_STAGE, HALF_METRIC = "decoder in float16", "largest value / end of float16"
_END = float(np.finfo(np.float16).max)


def half_range_values(folder: Path, plan: BundlePlan, asked: PromptSequence) -> Values:
    """Return the measure of a decoder whose matrices are in float16, nothing for another one; the last layer is left out, which has one row."""
    if not isinstance(plan.source.matrix(0, "attn_k"), HalfWeights):
        return {}
    layers = range(plan.dimensions.num_layers - 1)
    found = decoder_values(folder, plan, asked, [name for layer in layers for name in products(layer)])
    largest = 0.0
    for qkv, middle, product, after in zip(*[iter(found)] * len(products(0)), strict=True):
        largest = max(largest, *(float(np.abs(value).max()) for value in (qkv, product, after - middle)))
    return {(HALF_STAGE, HALF_METRIC): largest / _END}
