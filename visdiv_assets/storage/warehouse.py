"""The DuckDB file that BI tools read, published from the lake.

It is built under another name and renamed into place, so that readers never wait for a run, nor a run for readers:
whoever has the file open keeps the old state. It holds real rows, and DuckDB 1.2 and later can read it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from visdiv_assets.errors import VisdivError
from visdiv_assets.settings import NAMED_THRESHOLDS
from visdiv_assets.storage import warehouse_schema as schema
from visdiv_assets.storage.files import sync_folder, temporary_beside, writing_failed
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import Manifest

if TYPE_CHECKING:
    import duckdb

#: Files of later storage versions cannot be opened by the DuckDB that BI tools' drivers still carry.
STORAGE_VERSION = "v1.2.0"


@dataclass(frozen=True)
class Published:
    """What was published: rows by table, and the counts that the lake gives for the same tables."""

    rows: Mapping[str, int]
    expected_rows: Mapping[str, int]

    @property
    def differences(self) -> list[str]:
        """One line for each table whose rows are not those of the lake."""
        return [
            f"{table}: {self.rows[table]} rows published, {expected} in the lake"
            for table, expected in self.expected_rows.items()
            if self.rows[table] != expected
        ]


def publish(lake: Lake, path: str | Path, *, category: Callable[[str], str | None] = lambda subset: None) -> Published:
    """Build the warehouse from the lake and put it in place with one rename.

    Args:
        lake: where the tables lie.
        path: the DuckDB file.
        category: gives a subset's category.

    Returns:
        the row counts of the published file and of the lake.

    Raises:
        VisdivError: the file cannot be written; the old one, if any, stays.
    """
    import duckdb

    target = Path(path).absolute()
    aside = temporary_beside(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with duckdb.connect(str(aside), config={"storage_compatibility_version": STORAGE_VERSION}) as connection:
            expected = _Publisher(connection, lake, category).fill()
            rows = {table.name: _count(connection, table.name) for table in schema.TABLES}
        with aside.open("rb") as stream:
            os.fsync(stream.fileno())
        aside.replace(target)
        sync_folder(target.parent)
    except OSError as error:
        raise writing_failed(str(target), error) from error
    except duckdb.IOException as error:
        raise VisdivError(f"cannot write {target}: {error}; the file that was there before is intact") from error
    finally:
        aside.unlink(missing_ok=True)
    return Published(rows, expected)


def _count(connection: duckdb.DuckDBPyConnection, table: str) -> int:
    row = connection.execute(f'SELECT count(*) FROM "{table}"').fetchone()
    assert row is not None
    return int(row[0])


class _Publisher:
    def __init__(
        self, connection: duckdb.DuckDBPyConnection, lake: Lake, category: Callable[[str], str | None]
    ) -> None:
        self._connection = connection
        self._lake = lake
        self._category = category
        self._expected = dict.fromkeys((table.name for table in schema.TABLES), 0)

    def fill(self) -> dict[str, int]:
        for table in schema.TABLES:
            self._connection.execute(table.create_statement())
        subsets = self._lake.partitions("subset_images")
        for subset in subsets:
            self._subset(subset)
        self._pairs(subsets)
        self._provenance()
        self._connection.execute(schema.DUPLICATE_PAIR_POSITIONS_STATEMENT)
        for kind, tables in (("TABLE", schema.TABLES), ("VIEW", schema.VIEWS)):
            for table in tables:
                for statement in table.comment_statements(kind):
                    self._connection.execute(statement)
        return self._expected

    def _subset(self, subset: str) -> None:
        images = self._lake.require("subset_images", subset)
        quality = self._lake.manifest("quality_rows", subset)
        embeddings = self._lake.manifest("sscd_embeddings", subset)
        self._insert(
            "subsets",
            [
                {
                    "subset": subset,
                    "category": self._category(subset),
                    "rows": images.facts["rows"],
                    "rows_kept": quality.facts["rows_kept"] if quality else None,
                    "images": images.facts["images"],
                    "images_unique": images.facts["images_unique"],
                    "images_unreadable": images.facts["images_unreadable"],
                    "source_revision": images.source_revision,
                    "model_id": embeddings.model_id if embeddings else None,
                    "materialized_at": _timestamp(images),
                }
            ],
        )
        self._images(images)
        if quality:
            self._quality(quality)
        diversity = self._lake.manifest("subset_diversity", subset)
        if diversity:
            self._diversity(diversity)

    def _images(self, images: Manifest) -> None:
        pairs = self._lake.manifest("near_duplicates", images.partition)
        counted = self._lake.read(pairs, "counts") if pairs else pa.table({"image_id": pa.array([], pa.string())})
        names = [schema.neighbours_column(name) for name in NAMED_THRESHOLDS]
        counts = ", ".join(f"c.{name}" if name in counted.column_names else "NULL" for name in names)
        listed = self._lake.dataset(images).scanner().to_reader()
        self._connection.register("listed", listed)
        self._connection.register("counted", counted)
        self._connection.execute(
            f"""INSERT INTO images
            SELECT $subset, i."row", i.image_index, i.image_id, i.format, i.width, i.height, i.size_bytes, i.status,
                i.detail, {counts}
            FROM listed i LEFT JOIN counted c ON c.image_id = i.image_id AND i.status = 'ok'
            ORDER BY i."row", i.image_index""",
            {"subset": images.partition},
        )
        self._connection.unregister("listed")
        self._connection.unregister("counted")
        self._expected["images"] += images.rows("rows")

    def _quality(self, quality: Manifest) -> None:
        """The histograms of all shards, added up."""
        histogram = self._lake.read(quality, "histogram")
        self._connection.register("histogram", histogram)
        self._connection.execute(
            """INSERT INTO quality SELECT $subset, criterion, rating, sum(turns) FROM histogram
            GROUP BY criterion, rating ORDER BY criterion, rating""",
            {"subset": quality.partition},
        )
        self._connection.unregister("histogram")
        self._expected["quality"] += histogram.group_by(["criterion", "rating"]).aggregate([]).num_rows

    def _diversity(self, diversity: Manifest) -> None:
        rows = self._lake.read(diversity, "scores")
        self._connection.register("scores", rows)
        names = _list(rows.column_names)
        self._connection.execute(
            f"INSERT INTO diversity (subset, {names}) SELECT $subset, {names} FROM scores",
            {"subset": diversity.partition},
        )
        self._connection.unregister("scores")
        self._expected["diversity"] += rows.num_rows

    def _pairs(self, subsets: list[str]) -> None:
        """Pairs of all subsets; two pictures that occur together in several subsets are one pair."""
        self._connection.execute(
            "CREATE TEMP TABLE found (image_id_a VARCHAR, image_id_b VARCHAR, similarity FLOAT, model_id VARCHAR)"
        )
        for subset in subsets:
            manifest = self._lake.manifest("near_duplicates", subset)
            if manifest:
                self._connection.register("pairs", self._lake.dataset(manifest, "pairs").scanner().to_reader())
                self._connection.execute(
                    "INSERT INTO found SELECT image_id_a, image_id_b, similarity, $model_id FROM pairs",
                    {"model_id": manifest.model_id},
                )
                self._connection.unregister("pairs")
        self._connection.execute(
            """INSERT INTO duplicate_pairs
            SELECT image_id_a, image_id_b, max(similarity), model_id, NULL, NULL FROM found
            GROUP BY image_id_a, image_id_b, model_id ORDER BY model_id, image_id_a, image_id_b"""
        )
        row = self._connection.execute(
            "SELECT count(*) FROM (SELECT DISTINCT image_id_a, image_id_b, model_id FROM found)"
        ).fetchone()
        self._expected["duplicate_pairs"] = row[0] if row else 0
        self._connection.execute("DROP TABLE found")

    def _provenance(self) -> None:
        for table in self._lake.tables():
            for partition in self._lake.partitions(table):
                manifest = self._lake.require(table, partition)
                self._insert(
                    "provenance",
                    [
                        {
                            "table_name": table,
                            "subset": partition,
                            "model_id": manifest.model_id,
                            "source_revision": manifest.source_revision,
                            "settings": json.dumps(manifest.settings, sort_keys=True),
                            "code_version": manifest.code_version,
                            "run_id": manifest.run_id,
                            "materialized_at": _timestamp(manifest),
                        }
                    ],
                )

    def _insert(self, table: str, rows: list[dict[str, object]]) -> None:
        columns = list(rows[0])
        self._connection.executemany(
            f'INSERT INTO "{table}" ({_list(columns)}) VALUES ({", ".join("?" * len(columns))})',
            [list(row.values()) for row in rows],
        )
        self._expected[table] += len(rows)


def _list(names: list[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _timestamp(manifest: Manifest) -> str:
    """UTC without an offset, as DuckDB's TIMESTAMP wants it."""
    return manifest.materialized_at.removesuffix("+00:00")
