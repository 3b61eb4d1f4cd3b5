"""Read subsets, shards and normalized Arrow batches from a source.

A source is a folder of Parquet files, a folder of images, a folder that `datasets` wrote with `save_to_disk`, a dataset
on the Hugging Face Hub, or a loaded `datasets.Dataset` or `DatasetDict`. `open` opens it and returns an
`interface.Source`. Everything that knows how a source names or types its columns belongs here, and so does the
catalog of known subsets and benchmarks.

Pixels do not belong here (`imaging` decodes the bytes), nor do decisions about rows (`curation`) or Dagster. The only
files written here are downloads. No code here holds a whole subset in memory.
"""

from visdiv_assets.sources.catalog import Benchmark, benchmarks, category, finevision_categories
from visdiv_assets.sources.downloads import Downloads
from visdiv_assets.sources.hub.source import HubSource
from visdiv_assets.sources.image_folder import ImageFolderSource
from visdiv_assets.sources.interface import Kind, Shard, Source, StoredShard
from visdiv_assets.sources.opening import open_source as open  # noqa: A004 - read as sources.open(uri)
from visdiv_assets.sources.parquet_folder import ParquetFolderSource
from visdiv_assets.sources.saved_datasets import SavedDatasetsSource
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
    "SavedDatasetsSource",
    "Shard",
    "Source",
    "StoredShard",
    "benchmarks",
    "category",
    "finevision_categories",
    "open",
]
