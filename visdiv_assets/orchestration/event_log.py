"""Fewer steps for each event that Dagster writes to SQLite."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
import sqlalchemy
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from sqlalchemy.pool import QueuePool


@contextmanager
def open_event_log(instance: dg.DagsterInstance) -> Iterator[None]:
    """Keep the files of Dagster's event log open, if it is in SQLite, for what this process does with an instance.

    For each statement, Dagster makes an SQLAlchemy engine, which compiles the statement again, and opens and closes the
    file, which copies the write-ahead log. That is most of the time of a run of a small subset. Statements and
    transactions stay the same, so that other processes see no difference.
    """
    storage = instance.event_log_storage
    if not isinstance(storage, SqliteEventLogStorage):
        yield
        return
    engines: dict[str, sqlalchemy.Engine] = {}

    @contextmanager
    def connect(shard: str) -> Iterator[sqlalchemy.Connection]:
        """Do what `SqliteEventLogStorage._connect` does, with an engine that is kept."""
        with storage._db_lock:
            if shard not in engines:
                # The lock makes one connection enough.
                engines[shard] = sqlalchemy.create_engine(
                    storage.conn_string_for_shard(shard),
                    poolclass=QueuePool,
                    pool_size=1,
                    connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS},
                )
            if shard not in storage._initialized_dbs:
                storage._initdb(engines[shard])
                storage._initialized_dbs.add(shard)
            with engines[shard].begin() as connection:
                yield connection

    vars(storage)["_connect"] = connect
    try:
        yield
    finally:
        del vars(storage)["_connect"]
        with storage._db_lock:
            for engine in engines.values():
                engine.dispose()
