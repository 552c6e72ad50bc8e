"""Sentence encoders: found by name, loaded with a pooling, and frozen behind a prefix.

Nothing here imports torch or sentence-transformers until it is called. `simgpt.encoder.pooling`,
`simgpt.encoder.prefix` and `simgpt.encoder.reference` do.
"""

from simgpt.encoder.inspection import check_trainable, longest_text
from simgpt.encoder.loading import load_encoder
from simgpt.encoder.locating import BUNDLED_SHA256, locate, onnx_graph, weights_sha256

__all__ = [
    "BUNDLED_SHA256",
    "check_trainable",
    "load_encoder",
    "locate",
    "longest_text",
    "onnx_graph",
    "weights_sha256",
]
