"""The numbers of each subset at each publication. The lake keeps them, so that a rebuilt DuckDB file has them too."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import pyarrow as pa

from visdiv_assets.corpus.tables import CORPUS_PARTITION, LakeTable
from visdiv_assets.publishing.warehouse.columns import Column, Table
from visdiv_assets.publishing.warehouse.loading import Loader
from visdiv_assets.publishing.warehouse.summaries import SUBSET_SUMMARY
from visdiv_assets.storage.lake import Lake

if TYPE_CHECKING:
    import duckdb

#: Columns of `subset_summary` that are kept, and their types in the lake.
_KEPT = pa.schema(
    [
        ("subset", pa.string()),
        ("rows", pa.int64()),
        ("rows_clean", pa.int64()),
        ("kept_share", pa.float64()),
        ("images", pa.int64()),
        ("images_unique", pa.int64()),
        ("images_unreadable", pa.int64()),
        ("images_duplicate", pa.int64()),
        ("images_contaminated", pa.int64()),
        ("contamination_rate", pa.float64()),
        ("diversity", pa.float64()),
    ]
)
SCHEMA = pa.schema([("published_at", pa.timestamp("us", "UTC")), ("product_version", pa.string()), *_KEPT])
#: Name of the only unit, and role of its file.
_HISTORY = "history"

HISTORY = Table(
    "history",
    "One row per subset and publication, with the numbers that subset_summary had then. A publication that changed "
    "none of them has no rows.",
    (
        Column("published_at", "TIMESTAMP WITH TIME ZONE", "When the file was published."),
        Column("product_version", "VARCHAR", "Version of visdiv-assets that published it; NULL if unknown."),
        *(column for column in SUBSET_SUMMARY.columns if column.name in _KEPT.names),
    ),
    key=("published_at", "subset"),
)

_COLUMNS = ", ".join(f'"{name}"' for name in _KEPT.names)
_LAST = f"SELECT {_COLUMNS} FROM history WHERE published_at = (SELECT max(published_at) FROM history)"
_NOW = f"SELECT {_COLUMNS} FROM subset_summary"


def fill_history(loader: Loader, published_at: datetime, product_version: str | None) -> None:
    """Fill the table `history` from the lake, and add the numbers of `subset_summary` if they changed.

    Args:
        loader: the file that is being built, and the lake with the earlier publications.
        published_at: time of this publication, later than that of the earlier ones.
        product_version: version that publishes; None if unknown.
    """
    connection = loader.connection
    # A history that is damaged cannot be made again: then it begins anew.
    earlier = loader.lake.earlier(LakeTable.PUBLICATIONS, CORPUS_PARTITION)
    if earlier:
        with loader.registered(stored=loader.stream(earlier, _HISTORY)):
            connection.execute("INSERT INTO history BY NAME SELECT * FROM stored")
        loader.expect(HISTORY.name, earlier.rows(_HISTORY))
    changes = connection.execute(f"SELECT count(*) FROM (({_NOW} EXCEPT {_LAST}) UNION ALL ({_LAST} EXCEPT {_NOW}))")
    if changes.fetchone() != (0,):
        connection.execute(
            f"INSERT INTO history BY NAME SELECT $at AS published_at, $version AS product_version, * FROM ({_NOW})",
            {"at": published_at, "version": product_version},
        )
        loader.expect(HISTORY.name, loader.expected["subsets"])


def keep_history(connection: duckdb.DuckDBPyConnection, lake: Lake) -> None:
    """Write the table `history` of a file to the lake, if it has publications that the lake lacks.

    Args:
        connection: to the file.
        lake: where they are kept.
    """
    earlier = lake.earlier(LakeTable.PUBLICATIONS, CORPUS_PARTITION)
    columns = ", ".join(f'"{name}"' for name in SCHEMA.names)
    history = connection.sql(f"SELECT {columns} FROM history ORDER BY published_at, subset").to_arrow_table()
    if history.num_rows == (earlier.rows(_HISTORY) if earlier else 0):
        return
    write = lake.write(LakeTable.PUBLICATIONS, CORPUS_PARTITION, code_version="1")
    # Every state is a file of its own, so that a reader of the last one can finish.
    with write.add(_HISTORY, {"rows": str(history.num_rows), "last": str(history["published_at"][-1])}) as unit:
        unit.table(_HISTORY, history.cast(SCHEMA), SCHEMA)
    write.commit()
