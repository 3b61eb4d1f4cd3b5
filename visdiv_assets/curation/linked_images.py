"""All subsets together, read from the lake: what clusters and decisions are made of."""

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
from visdiv_assets.storage.arrays import RowsOf, StackedArray
from visdiv_assets.storage.lake import Lake

#: Of the arrays of `Positions`, for a corpus that holds no subset yet.
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
    """The images of the corpus that have a copy: a close pair, or more than one position.

    Attributes:
        image_ids: S32 [n], sorted, each once.
        pairs: all stored pairs among them, within and between subsets; or those that the pixels confirm.
        vectors: their unit vectors [n, d], read on demand.
    """

    image_ids: np.ndarray
    pairs: Pairs
    vectors: RowsOf


#: The tables of pairs within and between subsets, by what makes two images copies.
PAIR_TABLES = {
    "similarity": (LakeTable.NEAR_DUPLICATES, LakeTable.CROSS_SUBSET_DUPLICATES),
    "pixels": (LakeTable.VERIFIED_DUPLICATES, LakeTable.VERIFIED_CROSS_SUBSET),
}


def load_linked_images(lake: Lake, subsets: Sequence[str], copies_by: str) -> LinkedImages:
    """Collect the linked images of some subsets.

    Args:
        lake: with images, embeddings and pairs of the subsets.
        subsets: their names.
        copies_by: `pixels` for the confirmed pairs alone, or `similarity` for all that are stored.
    """
    within, across = PAIR_TABLES[copies_by]
    manifests = [*(lake.require(within, subset) for subset in subsets), lake.manifest(across, CORPUS_PARTITION)]
    tables = [lake.read(manifest, "pairs") for manifest in manifests if manifest and manifest.files("pairs")]
    if copies_by == "pixels":
        tables = [table.filter(table["verified"]) for table in tables]
    a, b, similarity = _distinct(tables)
    image_ids = np.unique(np.concatenate([a, b, _repeated(lake, subsets)]))
    pairs = Pairs(np.searchsorted(image_ids, a), np.searchsorted(image_ids, b), similarity)
    place = np.full(len(image_ids), -1, np.int64)
    parts: list[np.ndarray] = []
    offset = 0
    for subset in subsets:
        embeddings = lake.require(LakeTable.SSCD_EMBEDDINGS, subset)
        ids = lake.read(embeddings, "ids")["image_id"].to_numpy().astype("S32")
        number, held = find(image_ids, ids)
        place[number] = offset + np.flatnonzero(held)
        vectors = lake.array(embeddings, "vectors")
        parts += vectors.parts
        offset += len(vectors)
    # A pair across subsets may be of a subset that is not among these, as its run has not come to its end.
    held = place >= 0
    return LinkedImages(image_ids[held], _among(pairs, held), RowsOf(StackedArray(parts), place[held]))


def _among(pairs: Pairs, held: np.ndarray) -> Pairs:
    """The pairs of images that are held, bool [n], by the number that the images have without the others."""
    number = np.cumsum(held) - 1
    kept = held[pairs.left] & held[pairs.right]
    return Pairs(number[pairs.left[kept]], number[pairs.right[kept]], pairs.similarity[kept])


def find(image_ids: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of those of the wanted ids that are in the sorted `image_ids`, and which those are, bool [wanted]."""
    if not len(image_ids):
        return np.empty(0, np.int64), np.zeros(len(wanted), bool)
    number = np.minimum(np.searchsorted(image_ids, wanted), len(image_ids) - 1)
    held = image_ids[number] == wanted
    return number[held], held


def load_positions(lake: Lake, facts: Sequence[RowFacts], image_ids: np.ndarray) -> Positions:
    """The positions of some images in all subsets.

    Args:
        lake: where `subset_images` lies.
        facts: of the subsets, in name order.
        image_ids: S32 [n], sorted.
    """
    columns: dict[str, list[np.ndarray]] = {name: [] for name in Positions.__dataclass_fields__}
    for number, of_subset in enumerate(facts):
        images = lake.read(
            lake.require(LakeTable.SUBSET_IMAGES, of_subset.subset),
            columns=["row", "image_index", "image_id", "status", "width", "height", "format"],
        )
        in_row = np.bincount(images["row"].to_numpy(), minlength=of_subset.rows)
        readable = images.filter(pc.equal(images["status"], "ok"))
        image, held = find(image_ids, readable["image_id"].to_numpy().astype("S32"))
        chosen = readable.filter(pa.array(held))
        row = chosen["row"].to_numpy()
        pixels = chosen["width"].to_numpy().astype(np.int64) * chosen["height"].to_numpy()
        lossless = pc.is_in(chosen["format"], pa.array(sorted(LOSSLESS))).to_numpy()
        values = {
            "subset": np.full(len(row), number, np.int32),
            "row": row,
            "image_index": chosen["image_index"].to_numpy(),
            "image": image,
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
    """Pairs of several tables as arrays S32, S32, float32, each pair once."""
    if not tables:
        return np.empty(0, "S32"), np.empty(0, "S32"), np.empty(0, np.float32)
    together = pa.concat_tables([table.select(["image_id_a", "image_id_b", "similarity"]) for table in tables])
    once = together.group_by(["image_id_a", "image_id_b"], use_threads=False).aggregate([("similarity", "max")])
    a, b = (once[name].to_numpy().astype("S32") for name in ("image_id_a", "image_id_b"))
    return a, b, once["similarity_max"].to_numpy()


def _repeated(lake: Lake, subsets: Sequence[str]) -> np.ndarray:
    """image_ids that occur at more than one position of all subsets: S32, sorted."""
    found = [np.empty(0, "S32")]
    counted = [np.empty(0, np.int64)]
    for subset in subsets:
        images = lake.read(lake.require(LakeTable.SUBSET_IMAGES, subset), columns=["image_id", "status"])
        ids = images.filter(pc.equal(images["status"], "ok"))["image_id"].to_numpy().astype("S32")
        once, counts = np.unique(ids, return_counts=True)
        found.append(once)
        counted.append(counts)
    ids, place = np.unique(np.concatenate(found), return_inverse=True)
    return ids[np.bincount(place, np.concatenate(counted), minlength=len(ids)) > 1]
