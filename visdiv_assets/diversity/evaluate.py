"""One-call use from a notebook: the diversity of an array of embeddings or of a folder of images."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from numpy.typing import ArrayLike

from visdiv_assets.diversity.moments import Moments
from visdiv_assets.diversity.scores import DiversityScores, scores
from visdiv_assets.errors import InputError
from visdiv_assets.imaging.limits import DEFAULT_LIMITS, DecodeLimits

if TYPE_CHECKING:
    from PIL.Image import Image

#: Images that are decoded together before they are passed to the model.
BATCH_IMAGES = 64

#: Scores that depend on whether the vectors are centered.
_MATRIX_SCORES = ("effective_rank", "participation_ratio", "participation_ratio_unbiased", "score")


def scores_of(embeddings: ArrayLike, centered: bool = True) -> DiversityScores:
    """Compute the diversity scores of an array of embeddings.

    Args:
        embeddings: [n, D] of any float dtype; rows need not have unit length. May be memory-mapped.
        centered: True for the scores of the covariance, False for those of the second moment.

    Raises:
        InputError: a row holds NaN or infinity or is all zero, or the array is not [n, D].
    """
    return scores(Moments.from_vectors(embeddings), centered=centered)


def get_diversity_components(embeddings: ArrayLike) -> dict[str, float | None]:
    """Compute all diversity measures of an array of embeddings, centered and uncentered.

    Args:
        embeddings: [n, D], as for `scores_of`.

    Returns:
        images, dimension, mean_norm and vendi; effective_rank, participation_ratio,
        participation_ratio_unbiased and score of the covariance; and the last four of the second moment
        with `_uncentered` appended. `DiversityScores` describes them and says when they are None.

    Raises:
        InputError: as for `scores_of`.

    Example:
        >>> import numpy as np
        >>> from visdiv_assets import get_diversity_components
        >>> components = get_diversity_components(np.eye(4))
        >>> round(components["effective_rank"], 6), round(components["vendi"], 6)
        (3.0, 4.0)
    """
    return _components(Moments.from_vectors(embeddings))


def evaluate_diversity(
    path: str | Path,
    *,
    model: str = "auto",
    device: str = "auto",
    weights: str = "",
    weights_folder: str = "data/local/weights",
    limits: DecodeLimits = DEFAULT_LIMITS,
) -> dict[str, float | str | None]:
    """Compute the diversity of a folder of images.

    Images are found by ending or content in the folder and its subfolders and read in sorted order; hidden files are
    ignored. One batch of images is in memory at a time. Every file counts, including copies.

    Args:
        path: the folder.
        model: name of an SSCD embedder, see `embedding.load`; "auto" chooses the one that suits the device.
        device: where the model runs: "auto", "cpu", "cuda" or "cuda:N".
        weights: file with the TorchScript weights; empty to download them once.
        weights_folder: where downloaded weights are kept.
        limits: larger images count as unreadable.

    Returns:
        What `get_diversity_components` returns, where `images` counts the images scored, and: model_id; files, the
        number of image files found; unreadable, the number of them that could not be decoded and are not scored.

    Raises:
        InputError: there is no such folder, or it holds no readable image.
        ModelError: the model is unknown or cannot be loaded.

    Example:
        >>> from visdiv_assets import evaluate_diversity
        >>> found = evaluate_diversity("photos")
        >>> found["files"], found["unreadable"]
        (3, 1)
    """
    folder = Path(path)
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder: give a folder that holds images")
    files = _image_files(folder)
    if not files:
        raise InputError(
            f"{folder} holds no images: no file in it or in its subfolders has the ending of an image or begins as one"
        )

    from visdiv_assets import embedding

    embedder = embedding.load(model, device=device, weights=weights, weights_folder=weights_folder)
    reader = _ImageReader(files, limits)
    moments = Moments.from_batches(
        (embedder.embed(images) for images in reader.batches()),
        dimension=embedder.dimension,
        model_id=embedder.model_id,
    )
    if moments.n == 0:
        raise InputError(f"none of the {len(files)} images in {folder} can be read; the first: {reader.first_reason}")
    return {
        **_components(moments),
        "model_id": embedder.model_id,
        "files": len(files),
        "unreadable": reader.unreadable,
    }


class _ImageReader:
    """Decodes files in order and counts those that cannot be decoded."""

    def __init__(self, files: list[Path], limits: DecodeLimits) -> None:
        self.files = files
        self.limits = limits
        self.unreadable = 0
        self.first_reason = ""

    def batches(self) -> Iterator[list[Image]]:
        """Yield the readable images, RGB, in lists bounded both in number and in pixels."""
        from visdiv_assets.imaging.decode import decode_image

        batch: list[Image] = []
        pixels = 0
        for file in self.files:
            try:
                data = file.read_bytes()
            except OSError:
                data = None
            decoded = decode_image(data, limits=self.limits)
            if decoded.pixels is None:
                self.unreadable += 1
                self.first_reason = self.first_reason or f"{file}: {decoded.status} {decoded.detail}".strip()
                continue
            area = decoded.pixels.width * decoded.pixels.height
            # Checked before the image is added, so that a list never exceeds the pixels that one image may have.
            if batch and (len(batch) == BATCH_IMAGES or pixels + area > self.limits.max_pixels):
                yield batch
                batch, pixels = [], 0
            batch.append(decoded.pixels)
            pixels += area
        if batch:
            yield batch


def _image_files(folder: Path) -> list[Path]:
    from visdiv_assets.sources.image_folder import is_image

    def visible(path: Path) -> bool:
        return not any(part.startswith(".") for part in path.relative_to(folder).parts)

    return sorted(path for path in folder.rglob("*") if visible(path) and path.is_file() and is_image(path))


def _components(moments: Moments) -> dict[str, float | None]:
    """Return the dict of `get_diversity_components`."""
    centered, uncentered = scores(moments, centered=True), scores(moments, centered=False)
    return {
        "images": centered.images,
        "dimension": centered.dimension,
        "mean_norm": centered.mean_norm,
        "vendi": centered.vendi,
        **{name: getattr(centered, name) for name in _MATRIX_SCORES},
        **{f"{name}_uncentered": getattr(uncentered, name) for name in _MATRIX_SCORES},
    }
