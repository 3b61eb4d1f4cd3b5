"""The sums over a set of embeddings from which every diversity score follows: n, sum x and sum x x^T.

They are additive, so a mixture is the sum of its subsets and leaving a subset out is a subtraction; no
embedding is read twice. One set of 512 dimensions takes 2 MiB, whether it stands for ten images or for ten
million. The effective rank and the participation ratio computed from them are within 1e-6 of those computed in float64
throughout; `accumulate` explains how, and where it multiplies in float32.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from visdiv_assets.diversity.accumulate import Float64Array, RunningSums, as_matrix
from visdiv_assets.errors import InputError, ModelError
from visdiv_assets.wording import several

if TYPE_CHECKING:
    import pyarrow as pa

#: Share of n by which sums may miss an identity that would hold exactly without rounding. Subtracting a large set
#: from a larger one leaves the rounding of the large one, whose products are float32 where `accumulate` allows it.
SLACK = 1e-7

ARROW_COLUMNS = ("images", "dimension", "model_id", "unit", "sum_x", "second_moment")


@dataclass(frozen=True, eq=False)
class Moments:
    """Sums over the embeddings of a set of images; immutable, with read-only arrays.

    Attributes:
        n: number of positions summed; an image that occurs three times counts three times.
        sum_x: float64 [D], sum of the vectors.
        second_moment: float64 [D, D], sum of x x^T; symmetric.
        model_id: model that made the vectors; "" if unknown. Moments of different models cannot be added.
        unit: True if every vector had length 1. Then |x|^2 = 1 supplies the fourth-order sums that the unbiased
            participation ratio needs, so it follows exactly from these attributes; otherwise it is None.

    Raises:
        InputError: shapes disagree, n is negative, a value is not finite, or the trace contradicts `unit`.

    Example:
        >>> import numpy as np
        >>> from visdiv_assets import Moments
        >>> cats = Moments.from_vectors(np.array([[1.0, 0.0], [0.6, 0.8]]))
        >>> dogs = Moments.from_vectors(np.array([[0.0, 1.0]]))
        >>> both = cats + dogs
        >>> both.n, both.dimension
        (3, 2)
        >>> (both - dogs).n
        2
    """

    n: int
    sum_x: Float64Array
    second_moment: Float64Array
    model_id: str = ""
    unit: bool = True

    def __post_init__(self) -> None:
        sum_x = np.array(self.sum_x, dtype=np.float64)
        second = np.array(self.second_moment, dtype=np.float64)
        if sum_x.ndim != 1 or sum_x.size == 0 or second.shape != (sum_x.size, sum_x.size):
            raise InputError(f"moments need sum_x [D] and second_moment [D, D], got {sum_x.shape}, {second.shape}")
        if self.n < 0:
            raise InputError(f"moments of {self.n} images: n must be 0 or more")
        if not (np.isfinite(sum_x).all() and np.isfinite(second).all()):
            raise InputError("moments hold NaN or infinity: compute them again from the embeddings")
        # The trace of unit vectors is n. Vectors only rounded to fp16 miss it by less than this.
        if self.unit and abs(float(np.trace(second)) - self.n) > 1e-3 * max(self.n, 1):
            raise InputError(
                f"moments of {self.n} unit vectors have trace {np.trace(second):.6g}, not {self.n}: the vectors do not "
                "have unit length"
            )
        second = (second + second.T) / 2
        sum_x.setflags(write=False)
        second.setflags(write=False)
        object.__setattr__(self, "n", int(self.n))
        object.__setattr__(self, "sum_x", sum_x)
        object.__setattr__(self, "second_moment", second)

    @classmethod
    def zero(cls, dimension: int, *, model_id: str = "") -> Moments:
        """Return the moments of no image, the neutral element of `+`."""
        return cls(0, np.zeros(dimension), np.zeros((dimension, dimension)), model_id)

    @classmethod
    def from_vectors(
        cls,
        vectors: ArrayLike,
        weights: ArrayLike | None = None,
        *,
        model_id: str = "",
        normalize: bool = True,
        block: int | None = None,
    ) -> Moments:
        """Sum over the rows of an array, block by block; it may be memory-mapped and larger than memory.

        All cores are used, by threads with blocks of their own: meanwhile, NumPy's linear algebra has one thread in the
        whole process, and calls in other threads wait.

        Args:
            vectors: [n, D] of any float dtype and any strides, one embedding per row.
            weights: integer [n], how often each row counts (None: once). A row of weight 0 is checked but not
                counted.
            model_id: model that made the vectors.
            normalize: scale each row to length 1 in float64 first. Lengths of stored fp16 vectors are up to 5e-4 off.
            block: number of rows of a block, which a thread casts to float64 (None: 8 MiB of them).

        Raises:
            InputError: a row holds NaN or infinity; a row is all zero although `normalize` is set; or shapes or
                dtypes are wrong.
        """
        return cls.from_batches(
            [vectors],
            None if weights is None else [weights],
            model_id=model_id,
            normalize=normalize,
            block=block,
        )

    @classmethod
    def from_batches(
        cls,
        batches: Iterable[ArrayLike],
        weights: Iterable[ArrayLike | None] | None = None,
        *,
        dimension: int | None = None,
        model_id: str = "",
        normalize: bool = True,
        block: int | None = None,
    ) -> Moments:
        """Sum over a stream of arrays, holding one at a time.

        Args:
            batches: arrays [n_i, D]; see `from_vectors`. Error messages count rows from 0 across all of them.
            weights: one integer array [n_i] (or None) per batch; None: every row counts once.
            dimension: D, needed only if there may be no batch at all.
            model_id: as in `from_vectors`.
            normalize: as in `from_vectors`.
            block: as in `from_vectors`.

        Raises:
            InputError: as for `from_vectors`; or the batches differ in D; or there is neither a batch nor `dimension`.
        """
        sums = None if dimension is None else RunningSums(dimension, normalize)
        pairs = ((b, None) for b in batches) if weights is None else zip(batches, weights, strict=True)
        for batch, counts in pairs:
            vectors = as_matrix(batch)
            if sums is None:
                sums = RunningSums(vectors.shape[1], normalize)
            sums.add(vectors, counts, block)
        if sums is None:
            raise InputError("no embeddings to sum: give at least one batch, or the dimension")
        return cls(sums.n, sums.sum_x, sums.second, model_id, normalize or sums.n == 0)

    def with_vectors(self, vectors: ArrayLike, weights: ArrayLike | None = None, *, normalize: bool = True) -> Moments:
        """Return these moments plus those of more vectors of the same model.

        Use `from_batches` for many small batches.
        """
        return self + Moments.from_vectors(vectors, weights, model_id=self.model_id, normalize=normalize)

    @property
    def dimension(self) -> int:
        """Dimension D of the vectors."""
        return int(self.sum_x.size)

    @property
    def mean_norm(self) -> float:
        """Length of the mean vector; for unit vectors 0 (spread over all directions) to 1 (all identical).

        Raises:
            InputError: there is no image.
        """
        self._require_images(1)
        return float(np.linalg.norm(self.sum_x)) / self.n

    def covariance(self) -> Float64Array:
        """Return the covariance (M - s s^T / n) / (n - 1), float64 [D, D], as `numpy.cov` does.

        Raises:
            InputError: there are fewer than two images.
        """
        self._require_images(2)
        return (self.second_moment - np.outer(self.sum_x, self.sum_x) / self.n) / (self.n - 1)

    def uncentered(self) -> Float64Array:
        """Return the second moment M / n, float64 [D, D]; its trace is 1 for unit vectors.

        Raises:
            InputError: there is no image.
        """
        self._require_images(1)
        return self.second_moment / self.n

    def __add__(self, other: Moments) -> Moments:
        if not isinstance(other, Moments):
            return NotImplemented
        self._require_same_kind(other)
        n, unit = self.n + other.n, self.unit and other.unit
        return Moments(n, self.sum_x + other.sum_x, self.second_moment + other.second_moment, self.model_id, unit)

    def __radd__(self, other: int) -> Moments:
        # `sum(moments)` starts from the integer 0.
        return self if other == 0 else NotImplemented

    def __sub__(self, other: Moments) -> Moments:
        if not isinstance(other, Moments):
            return NotImplemented
        self._require_same_kind(other)
        if other.n > self.n:
            raise InputError(f"cannot subtract {other.n} images from {self.n}: the set must contain what is subtracted")
        n = self.n - other.n
        second = self.second_moment - other.second_moment
        slack = SLACK * float(np.trace(self.second_moment))
        if np.diagonal(second).min() < -slack or (n == 0 and np.abs(second).max() > slack):
            raise InputError("cannot subtract these moments: the set does not contain these images")
        if n == 0:
            return Moments.zero(self.dimension, model_id=self.model_id)
        return Moments(n, self.sum_x - other.sum_x, second, self.model_id, self.unit and other.unit)

    def to_arrow(self) -> pa.Table:
        """Return a table of one row: images int64, dimension int32, model_id string, unit bool, sum_x, second_moment.

        The last two are list<float64>, of D and D * D values (row-major).
        """
        import pyarrow as pa

        return pa.table(
            {
                "images": pa.array([self.n], pa.int64()),
                "dimension": pa.array([self.dimension], pa.int32()),
                "model_id": pa.array([self.model_id], pa.string()),
                "unit": pa.array([self.unit], pa.bool_()),
                "sum_x": _to_list_array(self.sum_x),
                "second_moment": _to_list_array(self.second_moment),
            }
        )

    @classmethod
    def from_arrow(cls, table: pa.Table) -> Moments:
        """Return the moments stored in a table made by `to_arrow`; other columns are ignored.

        Raises:
            InputError: there is not exactly one row, a column is missing, or a list has the wrong length.
        """
        missing = [name for name in ARROW_COLUMNS if name not in table.column_names]
        if missing:
            raise InputError(f"this table of moments lacks the columns {', '.join(missing)}: write it again")
        if table.num_rows != 1:
            raise InputError(f"a table of moments has one row, this one has {table.num_rows}: write it again")
        dimension = int(table["dimension"][0].as_py())
        sum_x, second = (table[name][0].values.to_numpy(zero_copy_only=False) for name in ARROW_COLUMNS[4:])
        if sum_x.size != dimension or second.size != dimension**2:
            raise InputError(
                f"the table of moments of {dimension} dimensions is damaged: it holds {sum_x.size} and {second.size} "
                f"values instead of {dimension} and {dimension**2}; write it again"
            )
        n, model_id, unit = (table[name][0].as_py() for name in ("images", "model_id", "unit"))
        return cls(n, sum_x, second.reshape(dimension, dimension), model_id, unit)

    def _require_images(self, images: int) -> None:
        if self.n < images:
            raise InputError(f"at least {several(images, 'image is', 'images are')} needed: got {self.n}")

    def _require_same_kind(self, other: Moments) -> None:
        if self.model_id != other.model_id:
            raise ModelError(
                f"moments of the models {self.model_id!r} and {other.model_id!r} cannot be combined: "
                "embed both sets with the same model"
            )
        if self.dimension != other.dimension:
            raise InputError(
                f"moments of {self.dimension} and {other.dimension} dimensions cannot be combined: "
                "embed both sets with the same model"
            )


def _to_list_array(values: Float64Array) -> Any:
    """Return all values as one entry of a list<float64> array."""
    import pyarrow as pa

    flat = values.ravel()
    return pa.ListArray.from_arrays(pa.array([0, flat.size], pa.int32()), pa.array(flat, pa.float64()))
