"""Readers of the published file do not wait for a run, and runs do not wait for readers."""

from __future__ import annotations

from multiprocessing.connection import Connection

import duckdb

from visdiv_assets.publishing.warehouse.publish import publish
from visdiv_assets.settings import Settings
from visdiv_assets.storage.lake import Lake
from visdiv_assets_tests.reliability.processes import FORKS, copy, tables

SQL = "SELECT subset FROM subsets ORDER BY subset"


def read_whenever_asked(path: str, connection: Connection) -> None:
    """Open a file once, and tell what it holds for every message."""
    with duckdb.connect(path, read_only=True) as database:
        while True:
            connection.send([name for (name,) in database.execute(SQL).fetchall()])
            connection.recv()


def test_an_open_reader_keeps_its_state_through_two_publications(corpus: Settings, undisturbed: Settings) -> None:
    lake, path = Lake(corpus.lake_root), corpus.warehouse_path
    copy(corpus, undisturbed, "a")
    publish(lake, path)
    ours, theirs = FORKS.Pipe()
    reader = FORKS.Process(target=read_whenever_asked, args=(path, theirs), daemon=True)
    reader.start()
    try:
        assert ours.recv() == ["a"]
        for subset in ("b", "c"):
            copy(corpus, undisturbed, subset)
            # With the file open elsewhere DuckDB would refuse to write to it, or wait.
            assert publish(lake, path).differences == []
            ours.send("again")
            assert ours.recv() == ["a"]
            assert [row[0] for row in tables(path)["subsets"]][-1] == subset
    finally:
        reader.kill()
        reader.join()
