"""Read what the published DuckDB file says of the dataset as a whole."""

from __future__ import annotations

from pathlib import Path

from visdiv_assets.curation.dataset_facts import BenchmarkFacts, DatasetFacts, SubsetFacts
from visdiv_assets.publishing.site.report_data import open_report_data

_SUBSETS = """
SELECT subset, "rows", images, images_unreadable AS unreadable, images_duplicate AS duplicates,
    images_contaminated AS contaminated
FROM subset_summary ORDER BY subset
"""
_BENCHMARKS = "SELECT benchmark, images, images_leaked AS leaked FROM benchmark_summary ORDER BY benchmark"
_PUBLISHED = "SELECT strftime(published_at, '%Y-%m-%d') AS published FROM meta"


def read_facts(path: Path) -> DatasetFacts | None:
    """Return what the findings say of the dataset; None if they were not published by this version.

    Args:
        path: the DuckDB file.

    Raises:
        StorageError: it cannot be read.
    """
    import duckdb

    if not path.is_file():
        return None
    with open_report_data(path) as data:
        try:
            return DatasetFacts(
                [SubsetFacts(**row) for row in data.rows(_SUBSETS)],
                [BenchmarkFacts(**row) for row in data.rows(_BENCHMARKS)],
                next((row["published"] or "" for row in data.rows(_PUBLISHED)), ""),
            )
        except (duckdb.CatalogException, duckdb.BinderException):  # Views or columns of another version.
            return None
