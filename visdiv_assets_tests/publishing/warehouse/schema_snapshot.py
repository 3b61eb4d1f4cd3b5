"""The recorded schema of the DuckDB file: tables, columns, types and comments.

    python -m visdiv_assets_tests.publishing.warehouse.schema_snapshot

records the schema of this checkout in `schema.txt`. A renamed or removed table, column or value also needs a higher
`SCHEMA_VERSION` and an entry in the changelog.
"""

import tempfile
from pathlib import Path

import duckdb

from visdiv_assets.publishing.warehouse.publish import publish
from visdiv_assets.publishing.warehouse.schema import SCHEMA_VERSION
from visdiv_assets.storage.lake import Lake

SNAPSHOT = Path(__file__).parent / "schema.txt"

_DESCRIBED = """
SELECT table_name, comment FROM duckdb_tables() WHERE NOT internal
UNION ALL SELECT view_name, comment FROM duckdb_views() WHERE NOT internal ORDER BY ALL
"""
_COLUMNS = """
SELECT table_name, column_name, data_type, comment FROM duckdb_columns() WHERE NOT internal
ORDER BY table_name, column_index
"""


def describe_schema() -> str:
    """Return the schema of a file published from an empty lake, as text."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "visdiv.duckdb"
        publish(Lake(Path(folder) / "lake"), path)
        with duckdb.connect(str(path), read_only=True) as connection:
            described = connection.execute(_DESCRIBED).fetchall()
            columns = connection.execute(_COLUMNS).fetchall()
    lines = [f"schema_version {SCHEMA_VERSION}"]
    for table, comment in described:
        lines += ["", f"{table}: {comment}"]
        lines += [f"  {name} {kind}: {said}" for of, name, kind, said in columns if of == table]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    SNAPSHOT.write_text(describe_schema(), encoding="utf-8")
