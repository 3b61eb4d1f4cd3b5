"""The methods by name: what each needs, what its scores mean, and which rows it keeps of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from visdiv_assets.errors import InputError

Needs = Literal["images", "texts", "pairs"]


@dataclass(frozen=True)
class Method:
    """A published method that scores rows.

    Attributes:
        name: by which it is called.
        function: module and function of this package that compute the scores.
        needs: vectors of "images" or of "pairs" of an image and a text, or raw "texts". Methods for images work on
            the vectors of texts too.
        high: what a high score means.
        keeps: whether rows of "high" or of "low" scores are kept first.
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
            "semdedup.semdedup",
            "images",
            "near an earlier one of its cluster: a semantic duplicate",
            "low",
            "SemDeDup, arXiv 2303.09540, facebookresearch/SemDeDup",
        ),
        Method(
            "conformity",
            "conformity.conformity",
            "images",
            "common: close to all others on average",
            "low",
            "The Double-Ellipsoid Geometry of CLIP, arXiv 2411.14517",
        ),
        Method(
            "whitened_clip",
            "whitening.log_likelihood",
            "images",
            "typical; a low one is an outlier",
            "high",
            "Whitened CLIP, arXiv 2505.06934, rbetser/W_CLIP",
        ),
        Method(
            "clip_cov",
            "clip_cov.clip_cov",
            "pairs",
            "picked early: preserves how images and texts vary together",
            "high",
            "Data-Efficient CLIP, arXiv 2403.12267, BigML-CS-UCLA/clipcov-data-efficient-clip",
        ),
        Method(
            "wfpp",
            "wfpp.wfpp",
            "texts",
            "rare words",
            "high",
            "Word-Frequency-based Image-Text Pair Pruning, MingliangLiang3/WFPP",
        ),
        Method(
            "metaclip",
            "balancing.draw_scores",
            "texts",
            "drawn: of rare concepts, or lucky among those of common ones",
            "high",
            "MetaCLIP, arXiv 2309.16671, facebookresearch/MetaCLIP",
        ),
        Method(
            "clippings",
            "pooled_pairs.nearest_earlier",
            "pairs",
            "near an earlier sample in image and text together",
            "low",
            "CLIPPINGS, arXiv 2304.03464",
        ),
        Method(
            "k_center",
            "diverse.select_diverse_samples",
            "images",
            "picked early: far from all picks before it",
            "high",
            "Gonzalez 1985; core-sets, arXiv 1708.00489",
        ),
        Method(
            "k_means_plus_plus",
            "diverse.select_diverse_samples",
            "images",
            "picked early: likely far from all picks before it",
            "high",
            "Arthur and Vassilvitskii 2007",
        ),
        Method(
            "text_overlap",
            "text_overlap.highest_share",
            "texts",
            "stands word by word in a benchmark",
            "low",
            "GPT-3, arXiv 2005.14165, appendix C; C4, arXiv 2104.08758",
        ),
    )
}


def order(name: str, scores: np.ndarray) -> np.ndarray:
    """Rows in the order in which a method keeps them, best first; of equal scores the lowest row.

    Args:
        name: of `METHODS`.
        scores: float [n].

    Returns:
        int64 [n].

    Raises:
        InputError: there is no such method, or the scores are not [n] numbers without NaN.
    """
    method = METHODS.get(name)
    if method is None:
        raise InputError(f"no selection method {name!r}: there are {', '.join(METHODS)}")
    if scores.ndim != 1:
        raise InputError(f"scores of {name} are one number per row, got an array {list(scores.shape)}")
    if np.isnan(scores).any():
        raise InputError(f"the score of row {int(np.isnan(scores).argmax())} by {name} is NaN: compute it again")
    return np.argsort(-scores.astype(np.float64) if method.keeps == "high" else scores, kind="stable")


def keep_fraction(name: str, scores: np.ndarray, fraction: float) -> np.ndarray:
    """Which rows a method keeps of a share: the first round(fraction n) of its `order`, as bool [n].

    Raises:
        InputError: the fraction is not between 0 and 1, or as `order`.
    """
    if not 0 <= fraction <= 1:
        raise InputError(f"cannot keep a fraction of {fraction}: it is between 0 and 1")
    mask = np.zeros(len(scores), bool)
    mask[order(name, scores)[: round(fraction * len(scores))]] = True
    return mask


def scores_of_picks(picks: np.ndarray, rows: int) -> np.ndarray:
    """Scores of n rows from the order in which some were picked: 1 for the first, falling evenly; 0 if not picked.

    Args:
        picks: int64 [k], row numbers, each once.
        rows: n.

    Returns:
        float32 [n].

    Raises:
        InputError: a pick is no row.
    """
    if len(picks) and not (picks.min() >= 0 and picks.max() < rows):
        raise InputError(f"picks {picks.min()} to {picks.max()} of {rows} rows: they belong to another set")
    scores = np.zeros(rows)
    scores[picks] = 1 - np.arange(len(picks)) / max(len(picks), 1)
    return scores.astype(np.float32)
