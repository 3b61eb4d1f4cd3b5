"""What the tests know of a published DuckDB file, and how they read it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from visdiv_assets.publishing.warehouse.publish import Published
from visdiv_assets_tests.storage.helpers import files_below

#: Columns that the tests of the content read; `test_schema.py` covers all of them.
CONTRACT = {
    "subsets": "subset category rows rows_passing_quality images images_unique images_unreadable "
    "source_revision model_id materialized_at",
    "rows": "subset row file row_in_file images turns kept reason rating question",
    "images": "subset row image_index image_id format width height size_bytes status detail",
    "quality": "subset criterion rating turns",
    "close_pairs": "image_id_a image_id_b similarity model_id verdict evidence",
    "close_pair_positions": "subset_a row_a image_index_a subset_b row_b image_index_b similarity exact verdict",
    "duplicates": "subset_a row_a image_index_a file_a row_in_file_a path_a subset_b row_b image_index_b file_b "
    "row_in_file_b path_b similarity exact evidence confidence",
    "subset_summary": "subset rows rows_clean kept_share images images_unreadable images_duplicate images_contaminated "
    "diversity",
    "history": "published_at subset rows rows_clean images",
    "diversity": "scope subset images model_id centered effective_rank participation_ratio "
    "participation_ratio_unbiased vendi score",
    "meta": "schema_version product_version source settings published_at lake_format_version",
    "provenance": "table_name partition model_id source_revision settings code_version run_id materialized_at",
}


@dataclass(frozen=True)
class Sample:
    """A file published from a lake that was then removed."""

    path: Path
    published: Published


def query(path: Path, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(path), read_only=True) as connection:
        return connection.execute(sql).fetchall()


def publications(path: Path) -> list[str]:
    """Names of all files in the published file's folder."""
    return sorted(files_below(path.parent))
