"""Readers of the published file do not wait for a run, and runs do not wait for readers."""

from __future__ import annotations

from multiprocessing.connection import Connection
from pathlib import Path

import duckdb

from visdiv_assets.publishing.warehouse.publish import publish
from visdiv_assets.settings import Settings
from visdiv_assets.storage.lake import Lake
from visdiv_assets_tests.conftest import one_each, write_shard
from visdiv_assets_tests.reliability.processes import FORKS, SUBSETS, copy, tables
from visdiv_assets_tests.testing.small_lakes import run_stages

SQL = "SELECT subset FROM subsets ORDER BY subset"


def read_whenever_asked(path: str, connection: Connection) -> None:
    """Open a file once, and tell what it holds for every message."""
    with duckdb.connect(path, read_only=True) as database:
        while True:
            connection.send([name for (name,) in database.execute(SQL).fetchall()])
            connection.recv()


def test_an_open_reader_keeps_its_state_through_two_publications(settings: Settings, tmp_path: Path) -> None:
    for seed, subset in enumerate(SUBSETS):
        write_shard(tmp_path / "all" / "source", subset, one_each([seed]))
    made = run_stages(tmp_path / "all", subset=["subset_images", "subset_turns"])
    lake, path = Lake(settings.lake_root), settings.warehouse_path
    copy(settings, made, "a")
    publish(lake, path)
    ours, theirs = FORKS.Pipe()
    reader = FORKS.Process(target=read_whenever_asked, args=(path, theirs), daemon=True)
    reader.start()
    try:
        assert ours.recv() == ["a"]
        for subset in SUBSETS[1:]:
            copy(settings, made, subset)
            # With the file open elsewhere DuckDB would refuse to write to it, or wait.
            assert publish(lake, path).differences == []
            ours.send("again")
            assert ours.recv() == ["a"]
            assert [row[0] for row in tables(path)["subsets"]][-1] == subset
    finally:
        reader.kill()
        reader.join()
