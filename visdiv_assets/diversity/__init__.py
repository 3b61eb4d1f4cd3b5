"""How varied a set of images is: additive sums over embeddings, and the scores made from them.

Here belong `moments` (the sums n, sum x and sum x x^T that add and subtract), `scores` (effective rank,
participation ratio, Vendi score and the combined score as pure functions of the sums) and `evaluate`
(one-call use from a notebook: an array or a folder of images in, numbers out). Here do not belong models
and decoding (`embedders`, `imaging`), where the sums are stored (`storage`) or when they are computed
(`assets`). Importing this package loads numpy and nothing heavier.
"""

from visdiv_assets.diversity.evaluate import evaluate_diversity, get_diversity_components, scores_of
from visdiv_assets.diversity.moments import Moments
from visdiv_assets.diversity.scores import DiversityScores, combined_score, scores

__all__ = [
    "DiversityScores",
    "Moments",
    "combined_score",
    "evaluate_diversity",
    "get_diversity_components",
    "scores",
    "scores_of",
]
