"""The images of all subsets that have copies, and their positions, read from the lake for clusters and decisions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.corpus.tables import CORPUS_PARTITION, LakeTable
from visdiv_assets.curation.decisions import LOSSLESS, Copies, Positions
from visdiv_assets.curation.row_findings import RowFacts
from visdiv_assets.duplicates.candidates import SIDES
from visdiv_assets.duplicates.clusters import Pairs
from visdiv_assets.duplicates.decided_pairs import obey, read_confirmed, read_decided
from visdiv_assets.duplicates.person_decisions import DECISIONS_SCHEMA, RIGHT
from visdiv_assets.imaging.id_index import IdIndex
from visdiv_assets.storage.arrays import RowsOf, StackedArray
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import Manifest

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
        copies: stored pairs among these images, within and across subsets, each once: all, without verdicts, or only
            the confirmed ones, with the verdict of the highest confidence.
        vectors: unit vectors [n, d] of the images, read on demand.
        decided: people's decisions on pairs of these images: table of `DECISIONS_SCHEMA`. Confirmed copies obey them.
    """

    image_ids: np.ndarray
    copies: Copies
    vectors: RowsOf
    decided: pa.Table

    def obeying(self, copies: Copies) -> Copies:
        """Return copies of these images without the pairs that people refuted, and with those that they confirmed."""
        if not self.decided.num_rows:
            return copies
        names, pairs = pa.array(self.image_ids.astype(str), pa.string()), copies.pairs
        sides = [names.take(pa.array(side)) for side in (pairs.left, pairs.right)]
        table = pa.table([*sides, pairs.similarity, copies.confidence, copies.evidence], schema=COPIES_SCHEMA)
        table = obey(table.append_column("verified", pa.repeat(True, table.num_rows)), self.decided)
        kept = table.filter(table["verified"]).select(COPIES_SCHEMA.names).combine_chunks()
        left, right = (np.searchsorted(self.image_ids, kept[side].to_numpy().astype("S32")) for side in SIDES)
        return _distinct(left, right, kept)


#: The tables of pairs within and across subsets, by what makes two images copies.
PAIR_TABLES = {
    "similarity": (LakeTable.NEAR_DUPLICATES, LakeTable.CROSS_SUBSET_DUPLICATES),
    "pixels": (LakeTable.VERIFIED_DUPLICATES, LakeTable.VERIFIED_CROSS_SUBSET),
}


COPIES_SCHEMA = pa.schema(
    [
        ("image_id_a", pa.string()),
        ("image_id_b", pa.string()),
        ("similarity", pa.float32()),
        ("confidence", pa.float32()),
        ("evidence", pa.string()),
    ]
)


def load_linked_images(lake: Lake, subsets: Sequence[str], copies_by: str) -> LinkedImages:
    """Read the linked images of the given subsets.

    Args:
        lake: holds images, embeddings and pairs of the subsets.
        subsets: names of the subsets.
        copies_by: "pixels" for confirmed pairs only, "similarity" for all stored pairs.
    """
    within, across = PAIR_TABLES[copies_by]
    manifests = [*(lake.require(within, subset) for subset in subsets), lake.manifest(across, CORPUS_PARTITION)]
    tables = [_read_copies(lake, manifest, copies_by) for manifest in manifests if manifest]
    table = pa.concat_tables([COPIES_SCHEMA.empty_table(), *tables])
    a, b = (table[name].to_numpy().astype("S32") for name in SIDES)
    decided = _read_all_decided(lake, subsets)
    right = decided.filter(pc.equal(decided["decision"], RIGHT))
    confirmed = [right[name].to_numpy().astype("S32") for name in SIDES]
    image_ids = np.unique(np.concatenate([a, b, *confirmed, _repeated(lake, subsets)]))
    copies = _distinct(np.searchsorted(image_ids, a), np.searchsorted(image_ids, b), table)
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
    linked = pa.array(image_ids[embedded].astype(str), pa.string())
    decided = decided.filter(pc.and_(*(pc.is_in(decided[name], linked) for name in SIDES)))
    of_linked = RowsOf(StackedArray(parts), vector[embedded])
    return LinkedImages(image_ids[embedded], _copies_among(copies, embedded), of_linked, decided)


def _read_all_decided(lake: Lake, subsets: Sequence[str]) -> pa.Table:
    """Read people's decisions on pairs within the subsets and across all: table of `DECISIONS_SCHEMA`, each once."""
    within, across = PAIR_TABLES["pixels"]
    manifests = [*(lake.manifest(within, subset) for subset in subsets), lake.manifest(across, CORPUS_PARTITION)]
    tables = [read_decided(lake, manifest) for manifest in manifests if manifest]
    decided = pa.concat_tables([DECISIONS_SCHEMA.empty_table(), *tables])
    numbered = decided.append_column("index", pa.array(np.arange(decided.num_rows)))
    once = numbered.group_by(list(SIDES), use_threads=False).aggregate([("index", "min")])
    return decided.take(once["index_min"])


def _read_copies(lake: Lake, manifest: Manifest, copies_by: str) -> pa.Table:
    """Read the pairs of a table that count as copies: table of `COPIES_SCHEMA`."""
    if not manifest.files("pairs"):
        return COPIES_SCHEMA.empty_table()
    if copies_by == "pixels":
        return read_confirmed(lake, manifest, COPIES_SCHEMA.names).cast(COPIES_SCHEMA)
    pairs = lake.read(manifest, "pairs", columns=COPIES_SCHEMA.names[:3])
    without = [pa.nulls(pairs.num_rows, field.type) for field in list(COPIES_SCHEMA)[3:]]
    return pa.table([*pairs.columns, *without], schema=COPIES_SCHEMA)


def _distinct(left: np.ndarray, right: np.ndarray, table: pa.Table) -> Copies:
    """Return pairs that may be in several tables, each once, sorted; those of highest confidence and similarity count.

    Args:
        left: int64 [m], index of the first image of each pair.
        right: int64 [m], index of the second image.
        table: table of `COPIES_SCHEMA`, [m].
    """
    confidence, similarity = (table[name].to_numpy() for name in ("confidence", "similarity"))
    order = np.lexsort((-similarity, -np.nan_to_num(confidence, nan=-1.0), right, left))
    new = np.diff(left[order], prepend=-1).astype(bool) | np.diff(right[order], prepend=-1).astype(bool)
    once = order[new]
    verdicts = table.select(["confidence", "evidence"]).take(pa.array(once))
    pairs = Pairs(left[once], right[once], similarity[once])
    return Copies(pairs, *(column.combine_chunks() for column in verdicts.columns))


def _copies_among(copies: Copies, chosen: np.ndarray) -> Copies:
    """Return the pairs of chosen images (bool [n]), by the indices of the images among the chosen ones."""
    index, pairs = np.cumsum(chosen) - 1, copies.pairs
    kept = chosen[pairs.left] & chosen[pairs.right]
    among = Pairs(index[pairs.left[kept]], index[pairs.right[kept]], pairs.similarity[kept])
    return Copies(among, copies.confidence.filter(pa.array(kept)), copies.evidence.filter(pa.array(kept)))


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
