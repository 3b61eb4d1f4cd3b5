"""How diverse a set of images is: additive moments of vectors, and the scores and mixtures computed from them.

Belongs here: `moments` (the sums n, sum x and sum x x^T, which can be added and subtracted), `scores` (effective rank,
participation ratio, Vendi score and the combined score as pure functions of the sums), `rarefaction`, `unions`,
`mixture`, and `evaluate` (one-call use from a notebook). Does not: models and decoding (`embedding`, `imaging`), where
the sums are stored (`storage`) or when they are computed (`orchestration`). Importing this package loads numpy and
nothing heavier.
"""

from visdiv_assets.diversity.components import Diversity
from visdiv_assets.diversity.evaluate import DiversityCalculator, evaluate_diversity, get_diversity_components
from visdiv_assets.diversity.moments import Moments
from visdiv_assets.diversity.scores import DiversityScores, combined_score, scores

__all__ = [
    "Diversity",
    "DiversityCalculator",
    "DiversityScores",
    "Moments",
    "combined_score",
    "evaluate_diversity",
    "get_diversity_components",
    "scores",
]
