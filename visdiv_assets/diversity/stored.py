"""Moments of the subsets in the lake: computed from stored vectors, and read again where they are stored."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.corpus.access import partitions_with
from visdiv_assets.corpus.tables import LakeTable
from visdiv_assets.diversity.after_cleaning import moments_of_dropped
from visdiv_assets.diversity.mixture_budget import MixedSubset
from visdiv_assets.diversity.moments import Moments
from visdiv_assets.diversity.rarefaction import rarefied_table
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import Manifest

#: Vectors read at a time.
BLOCK = 16_384


def count_occurrences(lake: Lake, images: Manifest, embeddings: Manifest) -> np.ndarray:
    """Count the readable positions that show each embedded image: int64 [vectors]."""
    listed = lake.read(images, columns=["image_id", "status"])
    occurrences = listed.filter(pc.equal(listed["status"], "ok"))["image_id"].value_counts()
    ids = lake.read(embeddings, "ids")["image_id"]
    counts: np.ndarray = occurrences.field("counts").take(pc.index_in(ids, occurrences.field("values"))).to_numpy()
    return counts


def compute_moments(lake: Lake, images: Manifest, embeddings: Manifest) -> dict[str, Moments]:
    """Compute the moments of a subset by scope: `subset` of all readable positions, `subset_unique` of all images."""
    weights = count_occurrences(lake, images, embeddings)
    vectors = lake.array(embeddings, "vectors")
    model_id, dimension = str(embeddings.model_id), embeddings.facts["dimension"]
    starts = np.arange(0, len(vectors), BLOCK)
    return {
        "subset": Moments.from_batches(
            vectors.blocks(BLOCK),
            [weights[start : start + BLOCK] for start in starts],
            dimension=dimension,
            model_id=model_id,
        ),
        "subset_unique": Moments.from_batches(vectors.blocks(BLOCK), dimension=dimension, model_id=model_id),
    }


def moments_table(moments: dict[str, Moments]) -> pa.Table:
    """Return moments as a table with the column `scope` before those of `Moments.to_arrow`, a row for each scope."""
    tables = [of_scope.to_arrow().add_column(0, "scope", pa.array([scope])) for scope, of_scope in moments.items()]
    return pa.concat_tables(tables)


def compute_rarefied(lake: Lake, images: Manifest, embeddings: Manifest) -> pa.Table:
    """Score equally large samples of the readable positions of a subset; see `rarefaction.rarefied_table`."""
    positions = np.repeat(np.arange(embeddings.rows("ids")), count_occurrences(lake, images, embeddings))
    return rarefied_table(lake.array(embeddings, "vectors"), positions, model_id=str(embeddings.model_id))


def read_moments(lake: Lake, manifest: Manifest, role: str = "moments") -> list[Moments]:
    """Read the moments that a partition stores, in order."""
    table = lake.read(manifest, role)
    return [Moments.from_arrow(table.slice(index, 1)) for index in range(table.num_rows)]


def compute_dropped_moments(lake: Lake, images: Manifest, embeddings: Manifest, dropped: pa.Table) -> list[Moments]:
    """Compute the moments of the images that each way of `after_cleaning.CLEANED` removes from a subset, in order.

    Args:
        lake: where the tables lie.
        images: manifest of `subset_images`.
        embeddings: manifest of `sscd_embeddings`.
        dropped: the dropped rows of the subset: row, reason.
    """
    found = moments_of_dropped(
        lake.read(images, columns=["row", "image_id"], where=pc.field("status") == "ok"),
        dropped,
        lake.read(embeddings, "ids")["image_id"].combine_chunks(),
        lake.array(embeddings, "vectors"),
        model_id=str(embeddings.model_id),
        dimension=embeddings.facts["dimension"],
    )
    return list(found.values())


def mixed_subsets(lake: Lake) -> list[MixedSubset]:
    """Return the materialized subsets that hold a readable image, by name, with their moments."""
    found = []
    for subset in partitions_with(lake, LakeTable.SUBSET_IMAGES, LakeTable.SUBSET_DIVERSITY):
        (moments, *_) = read_moments(lake, lake.require(LakeTable.SUBSET_DIVERSITY, subset))
        if moments.n:
            images = lake.require(LakeTable.SUBSET_IMAGES, subset)
            rows = lake.read(images, columns=["row"], where=pc.field("status") == "ok")["row"]
            found.append(MixedSubset(subset, pc.count_distinct(rows).as_py(), moments))
    return found
