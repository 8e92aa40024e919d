"""A decoder's graph driven by plain numpy. Imported by tests that have onnx."""

import numpy as np
import onnx
import onnxruntime

from redvillm.manifest import Graphs, Tensors

EXACT_ACTIVATIONS = 1  # accuracy level of MatMulNBits with float32 activations


def use_exact_activations(folder):
    graph = onnx.load(folder / Graphs.DECODER, load_external_data=False)
    for node in (node for function in graph.functions for node in function.node):
        for attribute in node.attribute:
            if attribute.name == "accuracy_level":
                attribute.i = EXACT_ACTIVATIONS
    (folder / Graphs.DECODER).write_bytes(graph.SerializeToString())


class CachedDecoder:
    """The present of one run is the past of the next; `report` is what export_decoder returned."""

    def __init__(self, folder, report, *, library=None, threads=1, rotary=None):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        if library is not None:
            options.register_custom_ops_library(str(library))
        self.session = onnxruntime.InferenceSession(folder / Graphs.DECODER, options, providers=["CPUExecutionProvider"])
        self.length, self.rotary = 0, rotary or {}
        self.names = [(layer, kind) for layer in range(report.num_layers) for kind in ("key", "value")]
        shape = (1, report.num_kv_heads, report.max_context_tokens, report.head_width)
        self.cache = [np.zeros(shape, np.float16) for _ in self.names]

    def run(self, embeddings, rows):
        self.length += embeddings.shape[0]
        feeds = {Tensors.past(*name): cache for name, cache in zip(self.names, self.cache, strict=True)}
        feeds |= self.rotary | {
            Tensors.INPUT_EMBEDDINGS: embeddings[None],
            Tensors.LOGITS_INDICES: np.array(rows, np.int64),
            Tensors.LAST_POSITION: np.array([self.length - 1], np.int32),
            Tensors.SEQUENCE_LENGTH: np.array(self.length, np.int32),
        }
        logits, *self.cache = self.session.run([Tensors.LOGITS, *(Tensors.present(*name) for name in self.names)], feeds)
        return logits
