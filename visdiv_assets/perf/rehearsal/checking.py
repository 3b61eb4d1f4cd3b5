"""The check of which planted pairs a stage found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.corpus.tables import CORPUS_PARTITION, LakeTable
from visdiv_assets.settings import Settings
from visdiv_assets.storage.lake import Lake

if TYPE_CHECKING:
    import duckdb

#: Planted pairs that count as copies, or as contamination, at a threshold.
_COPIES = "SELECT * FROM planted WHERE place <> 'benchmark' AND similarity >= $threshold::FLOAT"
_CONTAMINATED = "SELECT * FROM planted WHERE place = 'benchmark' AND similarity >= $threshold::FLOAT"


@dataclass(frozen=True)
class Found:
    """Number of pairs that were planted for a stage to find, and number of them that it found."""

    planted: int
    found: int


def check(asset: str, settings: Settings, planted: pa.Table) -> Found | None:
    """Count the planted pairs in the output of an asset; return None for an asset that finds no pairs.

    Args:
        asset: the asset's name.
        settings: the settings of the rehearsal.
        planted: table of `planting.PLANTED_SCHEMA`.
    """
    if asset not in _CHECKS:
        return None
    import duckdb

    with duckdb.connect() as connection:
        connection.register("planted", planted)
        return _CHECKS[asset](connection, Lake(settings.lake_root), settings)


def _within(connection: duckdb.DuckDBPyConnection, lake: Lake, settings: Settings) -> Found:
    """Count near copies within one subset in the pairs of that subset."""
    tables = []
    for subset in lake.partitions(LakeTable.NEAR_DUPLICATES):
        pairs = lake.read(
            lake.require(LakeTable.NEAR_DUPLICATES, subset), "pairs", columns=["image_id_a", "image_id_b"]
        )
        tables.append(pairs.append_column("subset", pa.repeat(subset, pairs.num_rows)))
    connection.register("pairs", pa.concat_tables(tables))
    return _count(
        connection,
        """SELECT p.image_id_a IS NOT NULL
        FROM (FROM planted WHERE place = 'within' AND kind = 'near') t
        LEFT JOIN pairs p ON p.subset = t.set_a AND p.image_id_a = t.image_id_a AND p.image_id_b = t.image_id_b""",
    )


def _across(connection: duckdb.DuckDBPyConnection, lake: Lake, settings: Settings) -> Found:
    """Count near copies across subsets in the pairs, and exact copies in the numbers of shared images."""
    manifest = lake.require(LakeTable.CROSS_SUBSET_DUPLICATES, CORPUS_PARTITION)
    connection.register("pairs", lake.read(manifest, "pairs", columns=["image_id_a", "image_id_b"]))
    connection.register("overlap", lake.read(manifest, "overlap"))
    near = _count(
        connection,
        """SELECT p.image_id_a IS NOT NULL
        FROM (FROM planted WHERE place = 'across' AND kind = 'near') t
        LEFT JOIN (SELECT DISTINCT image_id_a, image_id_b FROM pairs) p USING (image_id_a, image_id_b)""",
    )
    rows = connection.execute(
        """SELECT t.images, coalesce(o.shared, 0)
        FROM (SELECT least(set_a, set_b) AS one, greatest(set_a, set_b) AS other, count(*) AS images
            FROM planted WHERE place = 'across' AND kind = 'exact' GROUP BY ALL) t
        LEFT JOIN (SELECT subset AS one, other_subset AS other, max(images_shared_exactly) AS shared
            FROM overlap GROUP BY ALL) o USING (one, other)"""
    ).fetchall()
    exact = Found(sum(images for images, _ in rows), sum(min(pair) for pair in rows))
    return Found(near.planted + exact.planted, near.found + exact.found)


def _contamination(connection: duckdb.DuckDBPyConnection, lake: Lake, settings: Settings) -> Found:
    """Count near and exact copies of benchmark images in the pairs of the contaminated subsets."""
    columns = ["image_id", "benchmark", "benchmark_image_id"]
    tables = []
    for subset in lake.partitions(LakeTable.CONTAMINATION):
        manifest = lake.require(LakeTable.CONTAMINATION, subset)
        if manifest.files("pairs"):
            pairs = lake.read(manifest, "pairs", columns=columns)
            tables.append(pairs.append_column("subset", pa.repeat(subset, pairs.num_rows)))
    connection.register("pairs", pa.concat_tables(tables))
    return _count(
        connection,
        """SELECT p.image_id IS NOT NULL FROM (FROM planted WHERE place = 'benchmark') t
        LEFT JOIN pairs p ON p.subset = t.set_a AND p.image_id = t.image_id_a AND p.benchmark = t.set_b
            AND p.benchmark_image_id = t.image_id_b""",
    )


def _clusters(connection: duckdb.DuckDBPyConnection, lake: Lake, settings: Settings) -> Found:
    """Count near and exact copies that are in the same cluster, of which at most one position is kept."""
    positions = lake.read(lake.require(LakeTable.DUPLICATE_CLUSTERS, CORPUS_PARTITION), "positions")
    connection.register("positions", positions.select(["image_id", "cluster_id", "keep"]))
    return _count(
        connection,
        f"""WITH images AS (SELECT DISTINCT image_id, cluster_id FROM positions),
            kept AS (SELECT cluster_id, count_if(keep) AS keepers FROM positions GROUP BY ALL)
        SELECT coalesce(a.cluster_id = b.cluster_id AND k.keepers <= 1, false) FROM ({_COPIES}) t
        LEFT JOIN images a ON a.image_id = t.image_id_a
        LEFT JOIN images b ON b.image_id = t.image_id_b
        LEFT JOIN kept k ON k.cluster_id = a.cluster_id""",
        threshold=settings.duplicate_threshold,
    )


def _dropped_rows(connection: duckdb.DuckDBPyConnection, lake: Lake, settings: Settings) -> Found:
    """Count contaminated images without a kept row, and copies in single-image rows of which at most one is kept."""
    dropped = lake.read(lake.require(LakeTable.CURATED_ROWS, CORPUS_PARTITION), "dropped", columns=["subset", "row"])
    connection.register("dropped", dropped)
    ids = connection.execute("SELECT DISTINCT unnest([image_id_a, image_id_b]) FROM planted").fetchall()
    connection.register("positions", _positions(lake, pa.array([image_id for (image_id,) in ids], pa.string())))
    staying = "SELECT image_id, count(*) AS rows, bool_and(alone) AS alone FROM positions"
    connection.execute(f"CREATE TEMP TABLE everywhere AS {staying} GROUP BY ALL")
    connection.execute(f"CREATE TEMP TABLE left_over AS {staying} ANTI JOIN dropped USING (subset, row) GROUP BY ALL")
    leaks = _count(
        connection,
        f"""SELECT l.image_id IS NULL FROM ({_CONTAMINATED}) t LEFT JOIN left_over l ON l.image_id = t.image_id_a""",
        threshold=settings.contamination_threshold,
    )
    copies = _count(
        connection,
        f"""SELECT CASE WHEN t.image_id_a = t.image_id_b THEN coalesce(la.rows, 0)
            ELSE coalesce(la.rows, 0) + coalesce(lb.rows, 0) END <= 1
        FROM ({_COPIES}) t
        JOIN everywhere a ON a.image_id = t.image_id_a AND a.alone
        JOIN everywhere b ON b.image_id = t.image_id_b AND b.alone
        LEFT JOIN left_over la ON la.image_id = t.image_id_a
        LEFT JOIN left_over lb ON lb.image_id = t.image_id_b""",
        threshold=settings.duplicate_threshold,
    )
    return Found(leaks.planted + copies.planted, leaks.found + copies.found)


def _positions(lake: Lake, ids: pa.Array) -> pa.Table:
    """Return the positions of some images: subset, row, image_id, and `alone`, whether the row has no other image."""
    tables = []
    for subset in lake.partitions(LakeTable.SUBSET_IMAGES):
        listed = lake.read(lake.require(LakeTable.SUBSET_IMAGES, subset), columns=["row", "image_id"])
        alone = np.bincount(listed["row"].to_numpy(), minlength=1) == 1
        here = listed.filter(pc.is_in(listed["image_id"], ids))
        here = here.append_column("alone", pa.array(alone[here["row"].to_numpy()]))
        tables.append(here.append_column("subset", pa.repeat(subset, here.num_rows)))
    return pa.concat_tables(tables)


def _published(connection: duckdb.DuckDBPyConnection, lake: Lake, settings: Settings) -> Found:
    """Count all near copies and all copies of benchmark images in the published tables of pairs."""
    connection.execute(f"ATTACH '{settings.warehouse_path}' AS published (READ_ONLY)")
    pairs = _count(
        connection,
        """SELECT p.image_id_a IS NOT NULL FROM (FROM planted WHERE place <> 'benchmark' AND kind = 'near') t
        LEFT JOIN published.close_pairs p USING (image_id_a, image_id_b)""",
    )
    leaks = _count(
        connection,
        """SELECT p.image_id IS NOT NULL FROM (FROM planted WHERE place = 'benchmark') t
        LEFT JOIN (SELECT DISTINCT subset, image_id, benchmark, benchmark_image_id
            FROM published.contamination_pairs) p
        ON p.subset = t.set_a AND p.image_id = t.image_id_a AND p.benchmark = t.set_b
            AND p.benchmark_image_id = t.image_id_b""",
    )
    return Found(pairs.planted + leaks.planted, pairs.found + leaks.found)


def _count(connection: duckdb.DuckDBPyConnection, sql: str, **parameters: float) -> Found:
    """Count the rows of a statement, one for each pair, and the rows with a true value, whose pairs were found."""
    row = connection.execute(f"SELECT count(*), count(*) FILTER (f) FROM ({sql}) checked(f)", parameters).fetchone()
    assert row is not None
    return Found(int(row[0]), int(row[1]))


_CHECKS: dict[str, Callable[[duckdb.DuckDBPyConnection, Lake, Settings], Found]] = {
    LakeTable.NEAR_DUPLICATES: _within,
    LakeTable.CROSS_SUBSET_DUPLICATES: _across,
    LakeTable.CONTAMINATION: _contamination,
    LakeTable.DUPLICATE_CLUSTERS: _clusters,
    LakeTable.CURATED_ROWS: _dropped_rows,
    "warehouse": _published,
}
