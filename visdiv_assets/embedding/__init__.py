"""Images and texts to unit vectors: the models, their weights, and the stream that feeds them.

Belongs here: everything between a decoded image, or a text, and its embedding. Does not: reading sources, decoding
bytes, or what the vectors are used for. torch, transformers and onnxruntime are imported by the functions that load a
model, not by this package.
"""

from visdiv_assets.embedding.clip.texts import ClipTexts
from visdiv_assets.embedding.interface import Embedder
from visdiv_assets.embedding.loading import load, load_clip_images, load_clip_texts

__all__ = ["ClipTexts", "Embedder", "load", "load_clip_images", "load_clip_texts"]
