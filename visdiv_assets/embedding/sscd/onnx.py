"""SSCD disc_mixup, int8, with ONNX Runtime on the CPU."""

from __future__ import annotations

import numpy as np

from visdiv_assets.embedding.interface import Embedder, unit_length
from visdiv_assets.embedding.weights import ONNX_SHA256, onnx_weights
from visdiv_assets.imaging.resize import PREPROCESSING


class OnnxSscd(Embedder):
    """The int8 SSCD model in ONNX Runtime, the default without a GPU.

    The graph normalizes its input itself. An image's vector does not depend on the other images of its batch, so that
    results do not depend on how work is cut.
    """

    def __init__(self, batch_size: int = 0) -> None:
        """Load the model. A call of `run` uses one core, and several threads may call it at once.

        Raises:
            ModelError: the weights are not installed.
        """
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(str(onnx_weights()), options, providers=["CPUExecutionProvider"])
        self.model_id = f"sscd_disc_mixup_int8@{ONNX_SHA256[:12]}/{PREPROCESSING}"
        self.dimension = 512
        self.device = "cpu"
        self.batch_size = batch_size or 4
        self.runs_in_threads = True

    def run(self, pixels: np.ndarray) -> np.ndarray:
        """Embed preprocessed images: uint8 [n, 320, 320, 3] -> float32 [n, 512], unit length."""
        return unit_length(self._session.run(None, {"image": pixels})[0])
