from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from visdiv_assets.errors import StorageError
from visdiv_assets.publishing.warehouse.published_facts import read_facts
from visdiv_assets_tests.publishing.site.corpora import make


def test_the_facts_are_those_of_the_summaries(tmp_path: Path) -> None:
    made = make(tmp_path, ["small", "geoqa+(x)"], ["exam"])
    with duckdb.connect(str(made.warehouse)) as connection:
        connection.execute("INSERT INTO benchmarks (benchmark, \"rows\", images) VALUES ('exam', 40, 40)")
        connection.execute("UPDATE meta SET published_at = '2026-05-04 10:00:00+00'")
        expected = connection.execute(
            'SELECT subset, "rows", images, images_unreadable FROM subset_summary ORDER BY subset'
        ).fetchall()
    found = read_facts(made.warehouse)
    assert found is not None
    assert [(each.subset, each.rows, each.images, each.unreadable) for each in found.subsets] == expected
    assert [(each.benchmark, each.images) for each in found.benchmarks] == [("exam", 40)]
    assert found.published == "2026-05-04"


def test_a_damaged_file_is_named_with_what_to_run(tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.duckdb"
    damaged.write_bytes(b"not a database" * 1000)
    with pytest.raises(StorageError, match=r"damaged.duckdb cannot be read .* run `visdiv run --all` again"):
        read_facts(damaged)


def test_without_a_file_of_this_version_there_are_none(tmp_path: Path) -> None:
    assert read_facts(tmp_path / "none.duckdb") is None
    with duckdb.connect(str(tmp_path / "old.duckdb")) as connection:
        connection.execute("CREATE TABLE subsets (subset VARCHAR)")
    assert read_facts(tmp_path / "old.duckdb") is None
