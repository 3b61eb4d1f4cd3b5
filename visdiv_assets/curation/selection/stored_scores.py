"""What published selection methods say of every row of all subsets together, and which rows the best share is.

The methods are those of `selection` that need stored CLIP vectors alone. They score images; a row has the lowest
score of its images, so that one image that is new, or odd, decides for the row. CLIPScore is the mean of the row's
turns.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.corpus.access import require_one_model
from visdiv_assets.corpus.tables import LakeTable
from visdiv_assets.curation.reasons import KEEP_BY
from visdiv_assets.curation.selection.conformity import conformity
from visdiv_assets.curation.selection.methods import METHODS
from visdiv_assets.curation.selection.semdedup import semdedup
from visdiv_assets.curation.selection.whitened_clip import RawFeatures, Whitening, log_likelihood, raw_moments
from visdiv_assets.errors import VisdivError
from visdiv_assets.progress import Progress, silent
from visdiv_assets.storage.arrays import StackedArray
from visdiv_assets.storage.lake import Lake
from visdiv_assets.vectors.id_index import IdIndex

CLIP_SCORE = "clip_score"

SCORES_SCHEMA = pa.schema(
    [("subset", pa.string()), ("row", pa.int64()), *((name, pa.float32()) for name in KEEP_BY if name)]
)


def corpus_scores(lake: Lake, subsets: Sequence[str], *, progress: Progress = silent) -> Iterator[pa.Table]:
    """Score every row of some subsets, among all of them.

    An image that occurs in two subsets counts in each, and is the copy of an earlier one to SemDeDup.

    Args:
        lake: with `subset_images` and `clip_image_embeddings` of the subsets; `alignment` is used where it is there.
        subsets: their names, in order.
        progress: told of images: four times each.

    Yields:
        for each subset a table of `SCORES_SCHEMA`, by row. A score is null where a row has no readable image or, for
        CLIPScore, no scored turn; `whitened_clip` is null everywhere if there are no more images than dimensions.

    Raises:
        InputError: two subsets were embedded by different models, or a vector is not finite.
    """
    manifests = [lake.require(LakeTable.CLIP_IMAGE_EMBEDDINGS, subset) for subset in subsets]
    require_one_model(manifests)
    parts = [lake.array(manifest, "vectors") for manifest in manifests]
    ends = np.cumsum([0, *(len(part) for part in parts)])
    vectors = StackedArray([array for part in parts for array in part.parts])
    norms = np.concatenate([np.empty(0, np.float32), *(lake.column(manifest, "norms")[:] for manifest in manifests)])
    scores = _image_scores(vectors, norms, progress)
    for number, (subset, manifest) in enumerate(zip(subsets, manifests, strict=True)):
        images = lake.require(LakeTable.SUBSET_IMAGES, subset)
        listed = lake.read(images, columns=["row", "image_id"], where=pc.field("status") == "ok")
        vector = IdIndex(lake.read(manifest, "ids")["image_id"]).of(listed["image_id"])
        row, there = listed["row"].to_numpy(), vector >= 0
        rows = int(images.facts["rows"])
        columns: dict[str, object] = {
            name: _lowest(row[there], score[ends[number] : ends[number + 1]][vector[there]], rows)
            for name, score in scores.items()
        }
        columns |= {"subset": [subset] * rows, "row": np.arange(rows), CLIP_SCORE: _clip_scores(lake, subset, rows)}
        yield pa.table(
            [pa.array(columns[field.name], field.type, from_pandas=True) for field in SCORES_SCHEMA],
            schema=SCORES_SCHEMA,
        )


def keeps_high(name: str) -> bool:
    """Whether a method keeps rows of high scores first."""
    return name == CLIP_SCORE or METHODS[name].keeps == "high"


def best_first(name: str, scores: np.ndarray) -> np.ndarray:
    """Numbers of rows in the order in which a method keeps them, of equal scores the first; int64 [n], no NaN among."""
    return np.argsort(-scores if keeps_high(name) else scores, kind="stable")


def best_share(scores: pa.Table, name: str, fraction: float) -> np.ndarray:
    """Which rows are among the best share by a method.

    Args:
        scores: of `SCORES_SCHEMA`, all subsets together.
        name: the method's column.
        fraction: of the rows that have a score; rounded to whole rows.

    Returns:
        bool [n]; rows without a score stay, since nothing is said of them.
    """
    column = scores[name].to_numpy()
    scored = np.flatnonzero(~np.isnan(column))
    kept = np.ones(len(column), bool)
    kept[scored[best_first(name, column[scored])[round(fraction * len(scored)) :]]] = False
    return kept


def _image_scores(vectors: StackedArray, norms: np.ndarray, progress: Progress) -> dict[str, np.ndarray]:
    """One score for each vector, by method."""
    none = np.full(len(vectors), np.nan, np.float32)
    if not len(vectors):
        return dict.fromkeys(("semdedup", "conformity", "whitened_clip"), none)
    found = {"semdedup": semdedup(vectors, progress=progress).score, "conformity": conformity(vectors)}
    progress(len(vectors))
    features = RawFeatures(vectors, norms)
    moments = raw_moments(features)
    try:
        found["whitened_clip"] = log_likelihood(features, Whitening.of(moments))
    except VisdivError:
        # Too few images, or all alike, to know what is typical: the other methods can do without.
        found["whitened_clip"] = none
    progress(len(vectors))
    return found


def _lowest(row: np.ndarray, score: np.ndarray, rows: int) -> np.ndarray:
    """The lowest score of the images of each row, float32 [rows], NaN where there is none."""
    lowest = np.full(rows, np.inf, np.float32)
    there = ~np.isnan(score)
    np.minimum.at(lowest, row[there], score[there])
    lowest[np.isinf(lowest)] = np.nan
    return lowest


def _clip_scores(lake: Lake, subset: str, rows: int) -> np.ndarray:
    aligned = lake.manifest(LakeTable.ALIGNMENT, subset)
    if (
        aligned is None
        or aligned.inputs[LakeTable.SUBSET_IMAGES] != lake.require(LakeTable.SUBSET_IMAGES, subset).digest
    ):
        return np.full(rows, np.nan, np.float32)
    scores: np.ndarray = lake.read(aligned, "rows", columns=["clip_score_mean"])["clip_score_mean"].to_numpy()
    return scores
