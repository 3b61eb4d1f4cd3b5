"""The images of all subsets that have copies, and their positions, read from the lake for clusters and decisions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.corpus.tables import CORPUS_PARTITION, LakeTable
from visdiv_assets.curation.decisions import LOSSLESS, Positions
from visdiv_assets.curation.row_findings import RowFacts
from visdiv_assets.duplicates.clusters import Pairs
from visdiv_assets.imaging.id_index import IdIndex
from visdiv_assets.storage.arrays import RowsOf, StackedArray
from visdiv_assets.storage.lake import Lake

#: Types of the arrays of `Positions`, for a corpus without subsets.
POSITION_TYPES = {
    "subset": np.int32,
    "row": np.int64,
    "image_index": np.int32,
    "image": np.int64,
    "pixels": np.int64,
    "lossless": np.bool_,
    "rating": np.float32,
    "contaminated": np.bool_,
    "blocked": np.bool_,
    "images_in_row": np.int32,
}


@dataclass(frozen=True)
class LinkedImages:
    """The images of the corpus that are in a pair, or at more than one position.

    Attributes:
        image_ids: S32 [n], sorted and distinct.
        pairs: stored pairs among these images, within and across subsets: all, or only the confirmed ones.
        vectors: unit vectors [n, d] of the images, read on demand.
    """

    image_ids: np.ndarray
    pairs: Pairs
    vectors: RowsOf


#: The tables of pairs within and across subsets, by what makes two images copies.
PAIR_TABLES = {
    "similarity": (LakeTable.NEAR_DUPLICATES, LakeTable.CROSS_SUBSET_DUPLICATES),
    "pixels": (LakeTable.VERIFIED_DUPLICATES, LakeTable.VERIFIED_CROSS_SUBSET),
}


def load_linked_images(lake: Lake, subsets: Sequence[str], copies_by: str) -> LinkedImages:
    """Read the linked images of the given subsets.

    Args:
        lake: holds images, embeddings and pairs of the subsets.
        subsets: names of the subsets.
        copies_by: "pixels" for confirmed pairs only, "similarity" for all stored pairs.
    """
    within, across = PAIR_TABLES[copies_by]
    manifests = [*(lake.require(within, subset) for subset in subsets), lake.manifest(across, CORPUS_PARTITION)]
    tables = [lake.read(manifest, "pairs") for manifest in manifests if manifest and manifest.files("pairs")]
    if copies_by == "pixels":
        tables = [table.filter(table["verified"]) for table in tables]
    a, b, similarity = _distinct(tables)
    image_ids = np.unique(np.concatenate([a, b, _repeated(lake, subsets)]))
    pairs = Pairs(np.searchsorted(image_ids, a), np.searchsorted(image_ids, b), similarity)
    index = IdIndex(image_ids)
    vector = np.full(len(image_ids), -1, np.int64)
    parts: list[np.ndarray] = []
    offset = 0
    for subset in subsets:
        embeddings = lake.require(LakeTable.SSCD_EMBEDDINGS, subset)
        linked = index.rows(lake.read(embeddings, "ids")["image_id"])
        found = np.flatnonzero(linked >= 0)
        vector[linked[found]] = offset + found
        vectors = lake.array(embeddings, "vectors")
        parts += vectors.parts
        offset += len(vectors)
    # A pair across subsets may be of a subset that is not given, because its run has not finished.
    embedded = vector >= 0
    return LinkedImages(
        image_ids[embedded], _pairs_among(pairs, embedded), RowsOf(StackedArray(parts), vector[embedded])
    )


def _pairs_among(pairs: Pairs, chosen: np.ndarray) -> Pairs:
    """Return the pairs of chosen images (bool [n]), by the indices of the images among the chosen ones."""
    index = np.cumsum(chosen) - 1
    kept = chosen[pairs.left] & chosen[pairs.right]
    return Pairs(index[pairs.left[kept]], index[pairs.right[kept]], pairs.similarity[kept])


def load_positions(lake: Lake, facts: Sequence[RowFacts], image_ids: np.ndarray) -> Positions:
    """Read the positions of the given images in all subsets.

    Args:
        lake: holds `subset_images`.
        facts: facts about the rows of each subset, in name order.
        image_ids: S32 [n], sorted.
    """
    index = IdIndex(image_ids)
    columns: dict[str, list[np.ndarray]] = {name: [] for name in Positions.__dataclass_fields__}
    for subset_index, of_subset in enumerate(facts):
        images = lake.read(
            lake.require(LakeTable.SUBSET_IMAGES, of_subset.subset),
            columns=["row", "image_index", "image_id", "status", "width", "height", "format"],
        )
        in_row = np.bincount(images["row"].to_numpy(), minlength=of_subset.rows)
        readable = images.filter(pc.equal(images["status"], "ok"))
        linked = index.rows(readable["image_id"])
        chosen = readable.filter(pa.array(linked >= 0))
        row = chosen["row"].to_numpy()
        pixels = chosen["width"].to_numpy().astype(np.int64) * chosen["height"].to_numpy()
        lossless = pc.is_in(chosen["format"], pa.array(sorted(LOSSLESS))).to_numpy()
        values = {
            "subset": np.full(len(row), subset_index, np.int32),
            "row": row,
            "image_index": chosen["image_index"].to_numpy(),
            "image": linked[linked >= 0],
            "pixels": pixels,
            "lossless": lossless.astype(bool),
            "rating": of_subset.rating[row],
            "contaminated": of_subset.leak[row] >= 0,
            "blocked": of_subset.blocked[row] > 0,
            "images_in_row": in_row[row].astype(np.int32),
        }
        for name, array in values.items():
            columns[name].append(array)
    if not facts:
        return Positions(**{name: np.empty(0, kind) for name, kind in POSITION_TYPES.items()})
    return Positions(**{name: np.concatenate(arrays) for name, arrays in columns.items()})


def _distinct(tables: list[pa.Table]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the pairs of several tables as arrays S32, S32, float32, each pair once."""
    if not tables:
        return np.empty(0, "S32"), np.empty(0, "S32"), np.empty(0, np.float32)
    together = pa.concat_tables([table.select(["image_id_a", "image_id_b", "similarity"]) for table in tables])
    once = together.group_by(["image_id_a", "image_id_b"], use_threads=False).aggregate([("similarity", "max")])
    a, b = (once[name].to_numpy().astype("S32") for name in ("image_id_a", "image_id_b"))
    return a, b, once["similarity_max"].to_numpy()


def _repeated(lake: Lake, subsets: Sequence[str]) -> np.ndarray:
    """Return the image_ids that occur at more than one position of all subsets: S32, sorted."""
    found = [np.empty(0, "S32")]
    counted = [np.empty(0, np.int64)]
    for subset in subsets:
        images = lake.read(lake.require(LakeTable.SUBSET_IMAGES, subset), columns=["image_id", "status"])
        ids = images.filter(pc.equal(images["status"], "ok"))["image_id"].to_numpy().astype("S32")
        once, counts = np.unique(ids, return_counts=True)
        found.append(once)
        counted.append(counts)
    ids, index = np.unique(np.concatenate(found), return_inverse=True)
    return ids[np.bincount(index, np.concatenate(counted), minlength=len(ids)) > 1]
