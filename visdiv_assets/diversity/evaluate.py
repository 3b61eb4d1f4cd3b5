"""Diversity in one call, for notebooks and other programs: an array or a folder in, numbers out."""

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

IMAGE_SUFFIXES = frozenset(
    (".avif", ".bmp", ".gif", ".jfif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")
)

#: Images that are decoded together before the model sees them.
BATCH_IMAGES = 64

_OF_A_MATRIX = ("effective_rank", "participation_ratio", "participation_ratio_unbiased", "score")


def scores_of(embeddings: ArrayLike, centered: bool = True) -> DiversityScores:
    """The diversity scores of an array of embeddings.

    Args:
        embeddings: [n, D] of any float dtype; rows need not have unit length. May be memory-mapped.
        centered: scores of the covariance (default) or of the second moment.

    Raises:
        InputError: a row holds NaN or infinity or is all zero, or the array is not [n, D].
    """
    return scores(Moments.from_vectors(embeddings), centered=centered)


def get_diversity_components(embeddings: ArrayLike) -> dict[str, float | None]:
    """All diversity numbers of an array of embeddings, centered and uncentered.

    Args:
        embeddings: [n, D], as for `scores_of`.

    Returns:
        images, dimension, mean_norm and vendi; effective_rank, participation_ratio,
        participation_ratio_unbiased and score of the covariance; and the latter four of the second moment
        with `_uncentered` appended. See `DiversityScores` for what they mean and when they are None.

    Raises:
        InputError: as `scores_of`.
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
    """The diversity of a folder of images.

    Images are read in sorted order from the folder and all folders below it, by file suffix; hidden files
    are passed over. They stream through the model: a batch of them is in memory at a time, never all. Each
    file counts, copies too.

    Args:
        path: the folder.
        model: name of an SSCD embedder, see `embedding.load`; auto: the one that suits the device.
        device: where the model runs: auto, cpu, cuda or cuda:N.
        weights: file with the TorchScript weights; empty to fetch them once.
        weights_folder: where fetched weights are kept.
        limits: a larger image counts as unreadable.

    Returns:
        What `get_diversity_components` returns, and: model_id; images, the files found; unreadable, those
        of them that could not be decoded and are not in the scores.

    Raises:
        InputError: there is no such folder, or no readable image in it, or the model is unknown or cannot
            be loaded.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder: give a folder that holds images")
    files = _image_files(folder)
    if not files:
        raise InputError(f"{folder} holds no images: no file in it or below ends in .jpg, .png, .webp or the like")

    from visdiv_assets import embedding

    embedder = embedding.load(model, device=device, weights=weights, weights_folder=weights_folder)
    reading = _Reading(files, limits)
    moments = Moments.from_batches(
        (embedder.embed(images) for images in reading.batches()),
        dimension=embedder.dimension,
        model_id=embedder.model_id,
    )
    if moments.n == 0:
        raise InputError(f"none of the {len(files)} images in {folder} can be read; the first: {reading.first_reason}")
    return {
        **_components(moments),
        "model_id": embedder.model_id,
        "images": len(files),
        "unreadable": reading.unreadable,
    }


class _Reading:
    """Decodes files in order and counts those that cannot be."""

    def __init__(self, files: list[Path], limits: DecodeLimits) -> None:
        self.files = files
        self.limits = limits
        self.unreadable = 0
        self.first_reason = ""

    def batches(self) -> Iterator[list[Image]]:
        """Readable images, RGB, in lists bounded both in number and in pixels."""
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
            # Before the image joins, so that a list never exceeds the pixels that one image may have.
            if batch and (len(batch) == BATCH_IMAGES or pixels + area > self.limits.max_pixels):
                yield batch
                batch, pixels = [], 0
            batch.append(decoded.pixels)
            pixels += area
        if batch:
            yield batch


def _image_files(folder: Path) -> list[Path]:
    def visible(path: Path) -> bool:
        return not any(part.startswith(".") for part in path.relative_to(folder).parts)

    return sorted(
        path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES and visible(path) and path.is_file()
    )


def _components(moments: Moments) -> dict[str, float | None]:
    centered, uncentered = scores(moments, centered=True), scores(moments, centered=False)
    return {
        "images": centered.images,
        "dimension": centered.dimension,
        "mean_norm": centered.mean_norm,
        "vendi": centered.vendi,
        **{name: getattr(centered, name) for name in _OF_A_MATRIX},
        **{f"{name}_uncentered": getattr(uncentered, name) for name in _OF_A_MATRIX},
    }
