"""The published DuckDB file as a whole: the tables that readers rely on, its origin, and its counts."""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path

import pyarrow.parquet as pq

from visdiv_assets.publishing.warehouse.publication import Publication
from visdiv_assets.publishing.warehouse.publish import publish
from visdiv_assets.publishing.warehouse.schema import SCHEMA_VERSION
from visdiv_assets.storage.lake import Lake
from visdiv_assets_tests.publishing.warehouse.published_files import CONTRACT, Sample, query


class TestContract:
    def test_tables_and_columns_of_the_contract_have_rows(self, sample: Sample) -> None:
        for table, columns in CONTRACT.items():
            names = ", ".join(f'"{column}"' for column in columns.split())
            assert query(sample.path, f"SELECT {names} FROM {table}"), f"{table} is empty"

    def test_every_table_view_and_column_has_a_comment(self, sample: Sample) -> None:
        described = query(
            sample.path,
            """SELECT table_name, comment FROM duckdb_tables() WHERE NOT internal
            UNION ALL SELECT view_name, comment FROM duckdb_views() WHERE NOT internal""",
        )
        assert {name for name, _ in described} >= CONTRACT.keys()
        columns = query(
            sample.path, "SELECT table_name || '.' || column_name, comment FROM duckdb_columns() WHERE NOT internal"
        )
        expected = {f"{table}.{column}" for table, columns in CONTRACT.items() for column in columns.split()}
        assert {name for name, _ in columns} >= expected
        assert [name for name, comment in described + columns if not comment] == []

    def test_duckdb_1_2_can_read_the_file(self, sample: Sample) -> None:
        header = sample.path.read_bytes()[:20]
        assert header[8:12] == b"DUCK"
        # DuckDB 1.2 is the first to read version 65, and reads no later one.
        assert struct.unpack("<Q", header[12:20])[0] <= 65
        assert query(sample.path, "SELECT tags['storage_version'] FROM duckdb_databases() WHERE NOT internal") == [
            ("v1.2.0+",)
        ]

    def test_an_empty_lake_gives_empty_tables(self, tmp_path: Path, path: Path) -> None:
        published = publish(Lake(tmp_path / "nothing"), path)
        assert {rows for table, rows in published.rows.items() if table not in ("meta", "diversity_published")} == {0}
        assert published.differences == []
        assert published.rows["meta"] == 1
        assert all(query(path, f"FROM {table}") == [] for table in CONTRACT if table != "meta")


class TestMeta:
    def test_meta_names_the_origin_of_the_file(self, lake: Lake, path: Path) -> None:
        publication = Publication("1.2.3", "data/sample", {"threads": 2, "drop": "quality"}, 7)
        publish(lake, path, publication=publication)
        ((*row, age),) = query(
            path,
            "SELECT schema_version, product_version, source, settings, lake_format_version, "
            "abs(epoch(published_at) - epoch(now())) FROM meta",
        )
        assert row == [SCHEMA_VERSION, "1.2.3", "data/sample", '{"drop": "quality", "threads": 2}', 7]
        assert age < 300

    def test_an_unknown_origin_is_null(self, sample: Sample) -> None:
        assert query(sample.path, "SELECT product_version, source, settings FROM meta") == [(None, None, "{}")]


class TestCounts:
    def test_counts_of_file_and_lake_agree(self, sample: Sample) -> None:
        rows = sample.published.rows
        assert rows == sample.published.expected_rows
        assert rows == {table: len(query(sample.path, f"FROM {table}")) for table in rows}
        expected = {
            "subsets": 2,
            "images": 9,
            "quality": 4,
            "close_pairs": 2,
            "diversity": 8,
            "provenance": 12,
            "history": 2,
        }
        assert {table: rows[table] for table in expected} == expected
        assert sample.published.differences == []

    def test_rows_that_the_lake_lost_are_reported(self, lake: Lake, path: Path) -> None:
        manifest = lake.require("subset_images", "some")
        file = manifest.files("rows")[1]
        stored = Path(lake.files.root) / "subset_images" / "some" / file.name
        pq.write_table(pq.read_table(stored).slice(1), stored)
        # The manifest states the size and checksum of the new file, so that only the rows can tell.
        record = Path(lake.files.root) / "subset_images" / "some" / "manifest.json"
        value = json.loads(record.read_bytes())
        stated = value["units"][1]["files"]["rows"]
        stated["size_bytes"], stated["sha256"] = stored.stat().st_size, hashlib.sha256(stored.read_bytes()).hexdigest()
        record.write_text(json.dumps(value))
        assert publish(lake, path).differences == ["images: 8 rows published, 9 in the lake"]
