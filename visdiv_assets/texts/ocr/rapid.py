"""The reader PP-OCRv6 of the optional package rapidocr, on ONNX Runtime.

The weights are in rapidocr's wheel. It is given their paths, so it downloads nothing.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from visdiv_assets.embedding.weights import file_sha256
from visdiv_assets.errors import ModelError
from visdiv_assets.extras import check_extra, require_extra
from visdiv_assets.texts.ocr.interface import ReadText, no_text

MODULE, EXTRA = "rapidocr", "ocr"

#: The weights in rapidocr's wheel, by the section of its settings.
WEIGHTS = {
    "Det": "PP-OCRv6_det_small.onnx",
    "Cls": "ch_ppocr_mobile_v2.0_cls_mobile.onnx",
    "Rec": "PP-OCRv6_rec_small.onnx",
}

#: An image with a shorter side of fewer pixels has no legible text, and is not read.
MIN_SIDE = 8


def check_installed() -> None:
    """Raise if rapidocr is not installed, without importing it.

    Raises:
        ConfigError: it is not.
    """
    check_extra(MODULE, EXTRA)


class RapidReader:
    """Reads text with PP-OCRv6 (small): detection, orientation of lines, recognition."""

    def __init__(self, threads: int) -> None:
        """Load the weights.

        Args:
            threads: number of threads of ONNX Runtime.

        Raises:
            ConfigError: rapidocr is not installed.
            ModelError: this version of it has other weights.
        """
        rapidocr = require_extra(MODULE, EXTRA)
        parameters: dict[str, Any] = {
            "Global.log_level": "critical",
            "EngineConfig.onnxruntime.intra_op_num_threads": threads,
        }
        self._engine = rapidocr.RapidOCR(
            params=parameters | {f"{part}.model_path": str(path) for part, path in _weights().items()}
        )

    def read(self, pixels: np.ndarray) -> ReadText:
        """Read the text of an image; see `TextReader`."""
        height, width = pixels.shape[:2]
        if min(height, width) < MIN_SIDE:
            return no_text()
        try:
            # Its arrays are BGR, as OpenCV's.
            found = self._engine(np.ascontiguousarray(pixels[:, :, ::-1]))
        except Exception as error:  # rapidocr raises OpenCV's errors, ONNX Runtime's and its own.
            raise ModelError(f"rapidocr fails on an image of {width} x {height} pixels: {error}") from error
        if getattr(found, "boxes", None) is None or getattr(found, "txts", None) is None:
            return no_text()
        boxes = np.asarray(found.boxes, np.float32) / np.array([width, height], np.float32)
        return ReadText(np.clip(boxes, 0, 1), list(found.txts), np.asarray(found.scores, np.float32))


@lru_cache(maxsize=1)
def load_reader(threads: int) -> RapidReader:
    """Load the reader, once per process; see `RapidReader`."""
    return RapidReader(threads)


@lru_cache(maxsize=1)
def reader_id() -> str:
    """Return the model_id of the reader: its weights and the version of rapidocr, which also preprocesses.

    Raises:
        ConfigError: rapidocr is not installed.
        ModelError: this version of it has other weights.
    """
    require_extra(MODULE, EXTRA)
    digests = "-".join(file_sha256(path)[:12] for path in _weights().values())
    return f"pp-ocrv6_small@{digests}/rapidocr_{version(MODULE)}"


def _weights() -> dict[str, Path]:
    folder = Path(str(require_extra(MODULE, EXTRA).__file__)).parent / "models"
    paths = {part: folder / name for part, name in WEIGHTS.items()}
    if missing := [path.name for path in paths.values() if not path.is_file()]:
        raise ModelError(
            f"rapidocr {version(MODULE)} comes without {missing[0]}: run `pip install 'visdiv-assets[{EXTRA}]'`"
        )
    return paths
