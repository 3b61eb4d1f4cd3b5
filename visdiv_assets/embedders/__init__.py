"""Pictures to unit vectors: the models, their weights, and the stream that feeds them.

Belongs here: everything between a decoded picture and its embedding. Does not: reading sources, decoding bytes, or
what the vectors are used for. torch and onnxruntime are imported by `load`, not by this package.
"""

from visdiv_assets.embedders.interface import Embedder
from visdiv_assets.embedders.loading import load

__all__ = ["Embedder", "load"]
