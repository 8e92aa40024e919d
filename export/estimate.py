"""How large a bundle will be, for each precision, before anything is built: from the shapes of a model without weights.

Knows parameters and bits; does not know weights.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from redvillm.export.decoder_sizes import DecoderSizes
from redvillm.export.float_quantization import BlockFormat, HalfFormat, WeightFormat
from redvillm.export.half_weights import HalfWeights
from redvillm.export.targets import VisionChoice, form_of

if TYPE_CHECKING:
    from redvillm.export.plan import BundlePlan

_TABLE_BITS = BlockFormat(bits=8, symmetric=True).bits_a_weight
_VISION_BITS = {"fp32": 32.0, "fp16": 16.0, "int8": 8.0}
# In float32, with what is computed on the way: from the peaks of one export, a SigLIP of 93 million parameters at 512 pixels; others not measured.
_VISION_COPIES = {"fp32": 4, "fp16": 4, "int8": 6}


@dataclass(frozen=True)
class ModelSize:
    """Numbers of parameters.

    vision: of vision encoder and alignment.
    matrices: of the LLM's layers; norms and biases are too few to count.
    tables: of embeddings, and of the head where it is not the same.
    stored_bytes: of all, as an export loads them.
    quantized_bytes: of an LLM that is quantized already and stays so, in the bundle; 0 for others.
    """

    vision: int
    matrices: int
    tables: int
    stored_bytes: int
    quantized_bytes: int = 0

    def bundle_bytes(self, vision: str, decoder: WeightFormat, target: str = "cpu") -> int:
        """Return the size of a bundle; graphs, tokenizer and manifest are too small to count. video.onnx holds the vision half a second time."""
        copies = 2 if form_of(target).whole_clips else 1
        language_bits = 8 * self.quantized_bytes or self.matrices * decoder.bits_a_weight + self.tables * _TABLE_BITS
        return int((copies * self.vision * _VISION_BITS[vision] + language_bits) / 8)

    def export_memory_bytes(self, vision: str) -> int:
        """Return about what an export holds at once: the weights as they are stored, tables while they are quantized, copies of the vision half."""
        return self.stored_bytes + self.tables * 5 + self.vision * 4 * _VISION_COPIES[vision]


def size_of(model: Any, language: Any) -> ModelSize:
    """Measure a model of transformers, which may be without weights, and its text model."""
    everything = {id(parameter): parameter for parameter in model.parameters()}
    layers = sum(parameter.numel() for parameter in language.get_submodule("layers").parameters())
    heads = {id(module.weight): module.weight.numel() for module in (language.get_submodule("embed_tokens"), model.lm_head)}
    total = sum(parameter.numel() for parameter in everything.values())
    stored = sum(parameter.numel() * parameter.element_size() for parameter in everything.values())
    tables = sum(heads.values())
    return ModelSize(vision=total - layers - tables, matrices=layers, tables=tables, stored_bytes=stored)


def num_matrix_weights(sizes: DecoderSizes) -> int:
    """Return how many weights the matrices of a decoder's layers have."""
    attention = 2 * sizes.width * sizes.head_width * (sizes.num_heads + sizes.num_kv_heads)
    return sizes.num_layers * (attention + 3 * sizes.width * sizes.feed_forward_width)


def planned_bytes(plan: "BundlePlan", choice: VisionChoice) -> int:
    """Return the size of the bundle of a plan."""
    sizes, matrix, layers = plan.source.sizes, plan.source.matrix(0, "attn_k"), num_matrix_weights(plan.source.sizes)
    parameters = sum(parameter.numel() for module in (plan.encoder, plan.adapter) for parameter in module.parameters())
    size = ModelSize(vision=parameters, matrices=layers, tables=sizes.vocabulary_size * sizes.width, stored_bytes=0)
    form = HalfFormat() if isinstance(matrix, HalfWeights) else BlockFormat(bits=matrix.bits, symmetric=matrix.minimums is None)
    return size.bundle_bytes(choice.precision, form, choice.target)
