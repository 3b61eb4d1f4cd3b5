"""Images and texts to unit vectors: the models, their weights, and the stream that feeds them.

This room turns decoded images and texts into embeddings. Reading sources, decoding bytes and using the vectors belong
to other rooms. torch, transformers and onnxruntime are imported only by the functions that load a model; torch and
transformers are optional.
"""

from visdiv_assets.embedding.clip.texts import ClipTexts
from visdiv_assets.embedding.interface import Embedder
from visdiv_assets.embedding.loading import load, load_clip_images, load_clip_texts

__all__ = ["ClipTexts", "Embedder", "load", "load_clip_images", "load_clip_texts"]
