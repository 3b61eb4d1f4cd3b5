"""Scores of every row among all subsets together, by the methods that need only stored CLIP vectors.

The methods score images; a row gets the lowest score of its images, so that one new or odd image decides for the row.
CLIPScore is the mean over the row's turns.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.corpus.access import require_one_model
from visdiv_assets.corpus.tables import LakeTable, remedy
from visdiv_assets.curation.reasons import KEEP_BY
from visdiv_assets.curation.selection.conformity import conformity
from visdiv_assets.curation.selection.methods import keep_fraction
from visdiv_assets.curation.selection.semdedup import semdedup
from visdiv_assets.curation.selection.whitened_clip import RawFeatures, Whitening, log_likelihood, raw_moments
from visdiv_assets.errors import InputError, StaleError
from visdiv_assets.imaging.id_index import IdIndex
from visdiv_assets.progress import Progress, silent
from visdiv_assets.storage.arrays import StackedArray
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import Manifest

CLIP_SCORE = "clip_score"

SCORES_SCHEMA = pa.schema(
    [("subset", pa.string()), ("row", pa.int64()), *((name, pa.float32()) for name in KEEP_BY if name)]
)


def corpus_scores(lake: Lake, subsets: Sequence[str], *, progress: Progress = silent) -> Iterator[pa.Table]:
    """Score every row of the given subsets among all of them.

    An image that occurs in two subsets counts in each; SemDeDup treats the later one as a copy of the earlier one.

    Args:
        lake: holds `subset_images` and `clip_image_embeddings` of the subsets; `alignment` is used where it exists.
        subsets: names of the subsets, in order.
        progress: called with the number of images finished in each of four passes.

    Yields:
        for each subset a table of `SCORES_SCHEMA`, sorted by row. A score is null where a row has no readable image
        or, for CLIPScore, no scored turn; `whitened_clip` is null everywhere unless there are more images than
        dimensions.

    Raises:
        ModelError: two subsets were embedded by different models.
        InputError: a vector is not finite.
    """
    manifests = [lake.require(LakeTable.CLIP_IMAGE_EMBEDDINGS, subset) for subset in subsets]
    require_one_model(manifests)
    parts = [lake.array(manifest, "vectors") for manifest in manifests]
    ends = np.cumsum([0, *(len(part) for part in parts)])
    vectors = StackedArray([array for part in parts for array in part.parts])
    norms = np.concatenate([np.empty(0, np.float32), *(lake.column(manifest, "norms")[:] for manifest in manifests)])
    scores = _image_scores(vectors, norms, progress)
    for index, (subset, manifest) in enumerate(zip(subsets, manifests, strict=True)):
        images = lake.require(LakeTable.SUBSET_IMAGES, subset)
        listed = lake.read(images, columns=["row", "image_id"], where=pc.field("status") == "ok")
        vector = IdIndex(lake.read(manifest, "ids")["image_id"]).rows(listed["image_id"])
        row, embedded = listed["row"].to_numpy(), vector >= 0
        rows = int(images.facts["rows"])
        columns: dict[str, object] = {
            name: _lowest(row[embedded], score[ends[index] : ends[index + 1]][vector[embedded]], rows)
            for name, score in scores.items()
        }
        columns |= {"subset": [subset] * rows, "row": np.arange(rows), CLIP_SCORE: _clip_scores(lake, subset, rows)}
        yield pa.table(
            [pa.array(columns[field.name], field.type, from_pandas=True) for field in SCORES_SCHEMA],
            schema=SCORES_SCHEMA,
        )


def keep_fraction_of_scored(scores: pa.Table, name: str, fraction: float) -> np.ndarray:
    """Return a mask of the rows that a method keeps, bool [n].

    Args:
        scores: table of `SCORES_SCHEMA`, all subsets together.
        name: the method's column.
        fraction: of the rows that have a score; rounded to whole rows.

    Returns:
        bool [n]; rows without a score are kept, since the method cannot judge them.
    """
    column = scores[name].to_numpy()
    kept: np.ndarray = np.isnan(column)
    scored = np.flatnonzero(~kept)
    kept[scored] = keep_fraction(name, column[scored], fraction)
    return kept


def require_scores_of(scores: Manifest, images: Iterable[Manifest]) -> None:
    """Check that rows were scored in their present versions.

    Args:
        scores: manifest of `selection_scores`.
        images: manifests of `subset_images` of scored subsets.

    Raises:
        StaleError: the images of a subset were listed again after that.
    """
    for listed in images:
        if scores.inputs.get(f"{listed.partition} {listed.table}") != listed.digest:
            raise StaleError(
                f"{scores.table} are older than {listed.table} of {listed.partition!r}: "
                f"{remedy(scores.table, scores.partition)}"
            )


def _image_scores(vectors: StackedArray, norms: np.ndarray, progress: Progress) -> dict[str, np.ndarray]:
    """Return a score for each vector, by method."""
    none = np.full(len(vectors), np.nan, np.float32)
    if not len(vectors):
        return dict.fromkeys(("semdedup", "conformity", "whitened_clip"), none)
    found = {"semdedup": semdedup(vectors, progress=progress).score, "conformity": conformity(vectors)}
    progress(len(vectors))
    features = RawFeatures(vectors, norms)
    moments = raw_moments(features)
    try:
        found["whitened_clip"] = log_likelihood(features, Whitening.of(moments))
    except InputError:
        # There are too few images, or all are identical. The other methods still have scores.
        found["whitened_clip"] = none
    progress(len(vectors))
    return found


def _lowest(row: np.ndarray, score: np.ndarray, rows: int) -> np.ndarray:
    """Return the lowest score of the images of each row, float32 [rows], NaN where there is none."""
    lowest = np.full(rows, np.inf, np.float32)
    scored = ~np.isnan(score)
    np.minimum.at(lowest, row[scored], score[scored])
    lowest[np.isinf(lowest)] = np.nan
    return lowest


def _clip_scores(lake: Lake, subset: str, rows: int) -> np.ndarray:
    """Return the mean CLIPScore of each row, float32 [rows]; all NaN if `alignment` is missing or out of date."""
    aligned = lake.manifest(LakeTable.ALIGNMENT, subset)
    if (
        aligned is None
        or aligned.inputs[LakeTable.SUBSET_IMAGES] != lake.require(LakeTable.SUBSET_IMAGES, subset).digest
    ):
        return np.full(rows, np.nan, np.float32)
    scores: np.ndarray = lake.read(aligned, "rows", columns=["clip_score_mean"])["clip_score_mean"].to_numpy()
    return scores
