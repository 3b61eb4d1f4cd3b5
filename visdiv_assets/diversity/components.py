"""A diversity score as a number that knows what it is made from."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from visdiv_assets.diversity.moments import Moments
from visdiv_assets.diversity.scores import DiversityScores, scores, too_few

if TYPE_CHECKING:
    from visdiv_assets.embedding.file_stream import Unreadable


class Diversity(float):
    """The diversity of a set of images: the score as a number, and its components.

    It formats, compares and computes as a float, whose value is `centered.score`, or NaN for fewer than two images. It
    unpacks into the effective rank and the participation ratio.

    Attributes:
        centered: the scores of the covariance; those of FineVision.
        uncentered: the scores of the second moment.
        model_id: the model that made the vectors; empty if unknown.
        files: number of files that were read; 0 if none were.
        unreadable: the files that could not be read and are not scored.
    """

    centered: DiversityScores
    uncentered: DiversityScores
    model_id: str
    files: int
    unreadable: list[Unreadable]

    def __new__(
        cls,
        centered: DiversityScores,
        uncentered: DiversityScores,
        model_id: str = "",
        files: int = 0,
        unreadable: list[Unreadable] | None = None,
    ) -> Diversity:
        """Make the number from the scores, and keep them with what is known of the images."""
        self = super().__new__(cls, math.nan if centered.score is None else centered.score)
        self.centered, self.uncentered, self.model_id = centered, uncentered, model_id
        self.files, self.unreadable = files, list(unreadable or [])
        return self

    @classmethod
    def from_moments(cls, moments: Moments, *, files: int = 0, unreadable: list[Unreadable] | None = None) -> Diversity:
        """Compute the diversity of the images that some sums are of."""
        both = scores(moments, centered=True), scores(moments, centered=False)
        return cls(*both, moments.model_id, files, unreadable)

    @property
    def images(self) -> int:
        """Number of images scored."""
        return self.centered.images

    @property
    def dimension(self) -> int:
        """Dimension of the vectors."""
        return self.centered.dimension

    @property
    def score(self) -> float | None:
        """sqrt(effective_rank * participation_ratio) / dimension, 0 to 1; None for fewer than two images."""
        return self.centered.score

    @property
    def effective_rank(self) -> float | None:
        """Effective rank of the covariance; None for fewer than two images."""
        return self.centered.effective_rank

    @property
    def participation_ratio(self) -> float | None:
        """Participation ratio of the covariance; None for fewer than two images."""
        return self.centered.participation_ratio

    @property
    def vendi(self) -> float | None:
        """Vendi score of order 1; None for fewer than two images, or vectors that do not have unit length."""
        return self.centered.vendi

    @property
    def too_few(self) -> bool:
        """Whether there are fewer than two images per dimension: the score is low for that reason alone."""
        return too_few(self.images, self.dimension)

    def __iter__(self) -> Iterator[float]:
        """Yield the effective rank and the participation ratio, NaN where they are not defined."""
        for value in (self.effective_rank, self.participation_ratio):
            yield math.nan if value is None else value

    def __repr__(self) -> str:
        rank, ratio = self
        few = ", too_few" if self.too_few else ""
        return (
            f"Diversity({float(self):.6f}, effective_rank={rank:.2f}, participation_ratio={ratio:.2f}, "
            f"images={self.images}, unreadable={len(self.unreadable)}{few})"
        )

    def __getnewargs__(self) -> tuple[Any, ...]:
        return self.centered, self.uncentered, self.model_id, self.files, self.unreadable
