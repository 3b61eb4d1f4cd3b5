"""One-call use from a notebook: the diversity of an array of embeddings, of a folder or of a list of images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from visdiv_assets.diversity.accumulate import as_matrix
from visdiv_assets.diversity.components import Diversity
from visdiv_assets.diversity.moments import Moments
from visdiv_assets.errors import InputError
from visdiv_assets.imaging.limits import DEFAULT_LIMITS, DecodeLimits

if TYPE_CHECKING:
    from visdiv_assets.embedding.extract import ImageEmbedder
    from visdiv_assets.embedding.file_stream import Images

#: Largest difference of a length from 1 at which a vector counts as one of unit length; float16 rounds by up to 5e-4.
UNIT_TOLERANCE = 1e-3

#: Rows whose lengths are computed at a time.
_BLOCK = 16_384


def get_diversity_components(embeddings: ArrayLike, *, normalize: bool = False) -> Diversity:
    """Compute all diversity measures of an array of embeddings.

    Args:
        embeddings: [n, D] of any float dtype: a list, an array, which may be memory-mapped, a torch tensor, or what
            `extract` returns.
        normalize: whether to scale each row to unit length first. If not, rows are taken as they are, and the Vendi
            score and the unbiased participation ratio, which need unit length, are None. Rows whose lengths are all
            within 0.001 of 1 count as vectors of unit length that were rounded.

    Returns:
        The score as a number that unpacks into effective rank and participation ratio, and has all other measures.

    Raises:
        InputError: a row holds NaN or infinity, or is all zero and to be scaled, or the array is not [n, D].

    Example:
        >>> import numpy as np
        >>> from visdiv_assets import get_diversity_components
        >>> found = get_diversity_components(np.eye(4))
        >>> effective_rank, participation_ratio = found
        >>> round(effective_rank, 6), round(participation_ratio, 6), f"{found:.4f}", round(found.vendi, 6)
        (3.0, 3.0, '0.7500', 4.0)
    """
    matrix = as_matrix(embeddings)
    return Diversity.from_moments(Moments.from_vectors(matrix, normalize=normalize or _have_unit_length(matrix)))


class DiversityCalculator:
    """Computes diversity scores.

    Example:
        >>> import numpy as np
        >>> from visdiv_assets import DiversityCalculator
        >>> score = DiversityCalculator().calculate(np.eye(4))
        >>> print(f"Diversity Score: {score:.6f}")
        Diversity Score: 0.750000
    """

    def __init__(self, *, normalize: bool = False) -> None:
        """Set whether rows are scaled to unit length first; see `get_diversity_components`."""
        self.normalize = normalize

    def calculate(self, embeddings: ArrayLike) -> Diversity:
        """Return the score of embeddings [n, D]; see `get_diversity_components`."""
        return get_diversity_components(embeddings, normalize=self.normalize)


def evaluate_diversity(
    images: Images,
    embedder: ImageEmbedder | None = None,
    *,
    device: str = "auto",
    batch_size: int = 0,
    model: str = "auto",
    weights: str = "",
    weights_folder: str = "data/local/weights",
    cache: str | Path | None = None,
    limits: DecodeLimits = DEFAULT_LIMITS,
    progress: bool = True,
) -> Diversity:
    """Compute the diversity of a folder or of a list of images.

    Images of a folder are found by ending or content in it and its subfolders and read in sorted order; hidden files
    are ignored. A few images are in memory at a time, and no vectors. Every file counts, including copies.

    Args:
        images: the folder, or a list of files.
        embedder: a loaded model, an `SSCDEmbedder` or an `ImageEmbedder` of another model, for several calls. The
            arguments from `device` to `limits` are then its own, and not used. None: SSCD is loaded for this call.
        device: where the model runs; see `SSCDEmbedder`, also for the next arguments.
        batch_size: images per call of the model; 0 for a default.
        model: name of an SSCD model; "auto" chooses the one that suits the device.
        weights: file with the TorchScript weights; empty to download them once.
        weights_folder: where downloaded weights are kept.
        cache: folder in which vectors are kept by the content of the images; None to keep none.
        limits: larger images count as unreadable.
        progress: whether to show progress on standard error.

    Returns:
        The score as a number that has all other measures, as `get_diversity_components` returns, the model_id, the
        number of files, and the files that cannot be read.

    Raises:
        InputError: there is no such folder, or it holds no readable image.
        ModelError: the model is unknown or cannot be loaded.

    Example:
        >>> from visdiv_assets import evaluate_diversity
        >>> found = evaluate_diversity("photos")
        >>> print(f"Dataset Quality Score: {found:.3f}")
        Dataset Quality Score: 0.005
        >>> found.images, found.files, [file.path.name for file in found.unreadable]
        (2, 3, ['damaged.png'])
    """
    from visdiv_assets.embedding.extract import SSCDEmbedder
    from visdiv_assets.embedding.file_stream import image_files

    files = image_files(images)
    if not files:
        raise InputError("there are no images: give a folder that holds some, or a list of files")
    embedder = embedder or SSCDEmbedder(
        device,
        batch_size,
        model=model,
        weights=weights,
        weights_folder=weights_folder,
        cache=cache,
        limits=limits,
    )
    with embedder.stream(files, progress=progress) as stream:
        moments = Moments.from_batches(
            (vectors for _, vectors in stream.run(embedder.embedders)),
            dimension=embedder.dimension,
            model_id=embedder.model_id,
        )
    unreadable = [stream.unreadable[index] for index in sorted(stream.unreadable)]
    if moments.n == 0:
        first = unreadable[0]
        reason = f"{first.path}: {first.status} {first.detail}".strip()
        raise InputError(f"none of the {len(files)} images can be read; the first: {reason}")
    return Diversity.from_moments(moments, files=len(files), unreadable=unreadable)


def _have_unit_length(matrix: NDArray[Any]) -> bool:
    """Return whether all rows have a length within `UNIT_TOLERANCE` of 1."""
    for start in range(0, len(matrix), _BLOCK):
        block = matrix[start : start + _BLOCK].astype(np.float64)
        # The comparison is False for NaN, too.
        if not np.all(np.abs(np.sqrt(np.einsum("ij,ij->i", block, block)) - 1) <= UNIT_TOLERANCE):
            return False
    return True
