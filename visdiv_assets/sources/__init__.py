"""Where rows come from: folders of Parquet files, folders of images, the Hub, and the catalog of what is known.

Here belongs all that turns a place into subsets, shards and normalized Arrow batches, and all that knows how
such a place names or types its columns. `open(uri)` is the way in; what it returns keeps the promises of
`interface.Source`.

What does not belong here: pixels (`imaging` decodes the bytes), judgments about rows (`curation`), anything
written to disk (`storage`) but fetched files, and Dagster. Nothing here holds a whole subset in memory.
"""

from visdiv_assets.sources.catalog import Benchmark, benchmarks, category, finevision_categories
from visdiv_assets.sources.downloads import Downloads
from visdiv_assets.sources.hub.source import HubSource
from visdiv_assets.sources.image_folder import ImageFolderSource
from visdiv_assets.sources.interface import Kind, Shard, Source, StoredShard
from visdiv_assets.sources.opening import open_source as open  # noqa: A004 - read as sources.open(uri)
from visdiv_assets.sources.parquet_folder import ParquetFolderSource
from visdiv_assets.sources.schema import COLUMNS, CRITERIA, SCHEMA

__all__ = [
    "COLUMNS",
    "CRITERIA",
    "SCHEMA",
    "Benchmark",
    "Downloads",
    "HubSource",
    "ImageFolderSource",
    "Kind",
    "ParquetFolderSource",
    "Shard",
    "Source",
    "StoredShard",
    "benchmarks",
    "category",
    "finevision_categories",
    "open",
]
