"""The registry of selection methods: what each needs, what its scores mean, and which rows it keeps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from visdiv_assets.errors import InputError
from visdiv_assets.texts.signatures import scramble

Needs = Literal["images", "texts", "pairs"]


@dataclass(frozen=True)
class Method:
    """A published method that scores rows.

    Attributes:
        name: its name in commands and settings.
        function: module and function, under `visdiv_assets`, that compute the scores.
        needs: vectors of "images" or of "pairs" of an image and a text, or raw "texts". Methods for images also work
            on the vectors of texts.
        high: meaning of a high score.
        keeps: whether rows with "high" or with "low" scores are kept first.
        source: paper and repository.
    """

    name: str
    function: str
    needs: Needs
    high: str
    keeps: Literal["high", "low"]
    source: str


METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method(
            "semdedup",
            "curation.selection.semdedup.semdedup",
            "images",
            "close to an earlier image of its cluster (a semantic duplicate)",
            "low",
            "SemDeDup, arXiv 2303.09540, facebookresearch/SemDeDup",
        ),
        Method(
            "conformity",
            "curation.selection.conformity.conformity",
            "images",
            "common, which is close to all other images on average",
            "low",
            "The Double-Ellipsoid Geometry of CLIP, arXiv 2411.14517",
        ),
        Method(
            "whitened_clip",
            "curation.selection.whitened_clip.log_likelihood",
            "images",
            "typical; a low score marks an outlier",
            "high",
            "Whitened CLIP, arXiv 2505.06934, rbetser/W_CLIP",
        ),
        Method(
            "clip_score",
            "curation.alignment.turns.clip_score",
            "pairs",
            "the texts fit their images",
            "high",
            "CLIPScore, arXiv 2104.08718, jmhessel/clipscore",
        ),
        Method(
            "number_masked",
            "curation.selection.number_masked.number_masked_scores",
            "pairs",
            "the texts without their numbers fit their images",
            "high",
            "Devil in the Number: Towards Robust Multi-modality Data Filter, Xu et al. 2023",
        ),
        Method(
            "clip_cov",
            "curation.selection.clip_cov.clip_cov",
            "pairs",
            "picked early, to preserve how images and texts vary together",
            "high",
            "Data-Efficient CLIP, arXiv 2403.12267, BigML-CS-UCLA/clipcov-data-efficient-clip",
        ),
        Method(
            "wfpp",
            "curation.selection.wfpp.wfpp",
            "texts",
            "texts with rare words",
            "high",
            "Word-Frequency-based Image-Text Pair Pruning, MingliangLiang3/WFPP",
        ),
        Method(
            "metaclip",
            "curation.selection.metaclip.draw_scores",
            "texts",
            "drawn; all texts with rare concepts are, and a random part of those with common concepts",
            "high",
            "MetaCLIP, arXiv 2309.16671, facebookresearch/MetaCLIP",
        ),
        Method(
            "clippings",
            "curation.selection.clippings.nearest_earlier",
            "pairs",
            "close to an earlier pair, image and text together",
            "low",
            "CLIPPINGS, arXiv 2304.03464",
        ),
        Method(
            "k_center",
            "curation.selection.diverse.select_diverse_samples",
            "images",
            "picked early, far from all earlier picks",
            "high",
            "Gonzalez 1985; core-sets, arXiv 1708.00489",
        ),
        Method(
            "k_means_plus_plus",
            "curation.selection.diverse.select_diverse_samples",
            "images",
            "picked early, likely far from all earlier picks",
            "high",
            "Arthur and Vassilvitskii 2007",
        ),
        Method(
            "text_overlap",
            "texts.overlap.highest_share",
            "texts",
            "a large share of its text occurs in a benchmark",
            "low",
            "GPT-3, arXiv 2005.14165, appendix C; C4, arXiv 2104.08758",
        ),
    )
}


#: Seed of the order of rows with equal scores.
TIE_SEED = 0x9E3779B97F4A7C15


def order_rows(name: str, scores: np.ndarray) -> np.ndarray:
    """Return row indices in the order in which a method keeps rows, best first.

    Rows with equal scores come in the order of a seeded hash of their indices, so that a cut among them keeps the same
    share of each subset, and always the same rows.

    Args:
        name: a key of `METHODS`.
        scores: float [n], one score per row.

    Returns:
        int64 [n].

    Raises:
        InputError: the method is unknown, the scores are not [n], or a score is NaN.
    """
    method = METHODS.get(name)
    if method is None:
        raise InputError(f"unknown selection method {name!r}: use one of {', '.join(METHODS)}")
    if scores.ndim != 1:
        raise InputError(f"scores by {name} are one number per row: got an array of shape {list(scores.shape)}")
    if np.isnan(scores).any():
        raise InputError(f"the score of row {int(np.isnan(scores).argmax())} by {name} is NaN: compute it again")
    best_first = -scores.astype(np.float64) if method.keeps == "high" else scores
    return np.lexsort((scramble(np.arange(len(scores), dtype=np.uint64) + np.uint64(TIE_SEED)), best_first))


def keep_fraction(name: str, scores: np.ndarray, fraction: float) -> np.ndarray:
    """Return a mask of the rows kept, bool [n]: the first round(fraction * n) rows of `order_rows`.

    Raises:
        InputError: the fraction is not between 0 and 1, or as for `order_rows`.
    """
    if not 0 <= fraction <= 1:
        raise InputError(f"cannot keep a fraction of {fraction}: give a number between 0 and 1")
    mask = np.zeros(len(scores), bool)
    mask[order_rows(name, scores)[: round(fraction * len(scores))]] = True
    return mask


def scores_of_picks(picks: np.ndarray, rows: int) -> np.ndarray:
    """Turn the order in which rows were picked into scores: 1 for the first, decreasing evenly; 0 if not picked.

    Args:
        picks: int64 [k], row indices, each once.
        rows: number n of rows.

    Returns:
        float32 [n].

    Raises:
        InputError: a pick is out of range.
    """
    if len(picks) and not (picks.min() >= 0 and picks.max() < rows):
        raise InputError(
            f"picks range from {picks.min()} to {picks.max()}, but there are {rows} rows: pass the number of rows that "
            "the picks refer to"
        )
    scores = np.zeros(rows)
    scores[picks] = 1 - np.arange(len(picks)) / max(len(picks), 1)
    return scores.astype(np.float32)
