from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from visdiv_assets import sources
from visdiv_assets.curation.export import export
from visdiv_assets.errors import SourceError
from visdiv_assets.sources import Kind, in_memory
from visdiv_assets.sources.versions import version_of
from visdiv_assets_tests.curation.exports import decide
from visdiv_assets_tests.sources.saved import FEATURES, images_of, make_dataset, png, read


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_memory, "SHARD_ROWS", 3)


@pytest.mark.usefixtures("small_shards")
def test_a_dataset_is_read_shard_by_shard() -> None:
    sides = [1, 2, None, 4, 5]
    source = sources.open(make_dataset(sides))
    assert (source.uri, source.subsets(), source.benchmarks()) == ("memory://dataset", ["train"], [])
    shards = source.shards(Kind.SUBSET, "train")
    assert [(shard.name, shard.rows) for shard in shards] == [("rows-00000-of-00002", 3), ("rows-00001-of-00002", 2)]
    for batch_rows in (1, 2, 64):
        assert [row["images"] for row in read(source, "train", batch_rows=batch_rows)] == images_of(sides)
    assert read(source, "train", ("source",)) == [{"source": None}] * 5
    assert source.fetch(Kind.SUBSET, "train", [(4, 0), (0, 0), (4, 0)]) == [png(5), png(1), png(5)]
    with pytest.raises(SourceError, match="has no row 5: it has 5 rows"):
        source.fetch(Kind.SUBSET, "train", [(5, 0)])
    with pytest.raises(ValueError, match="batch_rows is 0"):
        source.batches(Kind.SUBSET, "train", shards[0], columns=["images"], batch_rows=0)


@pytest.mark.usefixtures("small_shards")
def test_selected_and_shuffled_rows_are_read_in_their_order() -> None:
    source = sources.open(make_dataset([1, 2, 3, 4, 5, 6]).select([5, 0, 2, 3]))
    assert [row["images"] for row in read(source, "train")] == images_of([6, 1, 3, 4])
    assert source.fetch(Kind.SUBSET, "train", [(0, 0), (3, 0)]) == [png(6), png(4)]


def test_each_split_of_a_dict_is_a_subset() -> None:
    source = sources.open(datasets.DatasetDict({"train": make_dataset([1]), "test": make_dataset([2, 3])}))
    assert source.subsets() == ["test", "train"]
    assert [row["images"] for row in read(source, "test")] == images_of([2, 3])
    with pytest.raises(SourceError, match="has no 'tset' among its subsets: did you mean 'test'"):
        source.shards(Kind.SUBSET, "tset")
    with pytest.raises(SourceError, match="among its benchmarks"):
        source.shards(Kind.BENCHMARK, "test")


def test_versions_follow_the_fingerprint() -> None:
    data = make_dataset([1, 2])
    versions = [version_of(sources.open(one), Kind.SUBSET, "train").revision for one in (data, data, data.select([1]))]
    assert versions[0] == versions[1] != versions[2]
    first, second = sources.open(data), sources.open(data.select([1]))
    assert first.observed_version(Kind.SUBSET, "train") != second.observed_version(Kind.SUBSET, "train")
    with pytest.raises(SourceError, match=r"rows-00000-of-00001 of 'train' in .* has changed since it was listed"):
        list(second.batches(Kind.SUBSET, "train", first.shards(Kind.SUBSET, "train")[0], columns=["source"]))


def test_images_known_by_path_are_read_from_their_files(tmp_path: Path) -> None:
    for side in (1, 2):
        (tmp_path / f"{side}.png").write_bytes(png(side))
    paths = [str(tmp_path / "1.png"), str(tmp_path / "2.png"), str(tmp_path / "missing.png")]
    data = datasets.Dataset.from_dict({"photo": paths}, features=datasets.Features({"photo": datasets.Image()}))
    source = sources.open(data)
    found: list[list[dict[str, Any]]] = [row["images"] for row in read(source, "train")]
    assert [(image["bytes"], image["path"]) for images in found for image in images] == [
        (png(1), paths[0]),
        (png(2), paths[1]),
        (None, paths[2]),
    ]
    assert source.fetch(Kind.SUBSET, "train", [(1, 0), (2, 0)]) == [png(2), None]
    stored = sources.open(data.select([0, 1]))
    export(stored, [decide(stored, "train", [True, False])], tmp_path / "copy")
    images = pq.read_table(tmp_path / "copy" / "train")["photo"].to_pylist()
    assert images == [{"bytes": png(1), "path": "1.png"}]
    with pytest.raises(SourceError, match=r"an image of 'train' in memory://dataset cannot be read .*missing\.png"):
        export(source, [decide(source, "train", [True] * 3)], tmp_path / "broken")


def test_an_export_has_the_features_and_the_kept_rows(tmp_path: Path) -> None:
    source = sources.open(make_dataset([1, None, 3]).select([2, 1, 0]))
    export(source, [decide(source, "train", np.array([True, False, True]))], tmp_path / "copy")
    table = pq.read_table(tmp_path / "copy" / "train")
    assert datasets.Features.from_arrow_schema(table.schema) == FEATURES
    assert table["caption"].to_pylist() == ["a square of 3", "a square of 1"]


def test_a_dataset_loaded_from_a_folder_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "pets"
    (folder / "cats").mkdir(parents=True)
    (folder / "cats" / "a.png").write_bytes(png(4))
    data = datasets.load_dataset("imagefolder", data_dir=str(folder), cache_dir=str(tmp_path / "cache"))
    source = sources.open(data)
    assert source.uri == "memory://imagefolder"
    assert source.subsets() == ["train"]
    assert [row["images"][0]["bytes"] for row in read(source, "train")] == [png(4)]
    shutil.rmtree(folder)


def test_streaming_and_empty_datasets_are_refused() -> None:
    data = make_dataset([1])
    with pytest.raises(SourceError, match=r"split 'train' is a IterableDataset: load it without streaming=True"):
        sources.open(data.to_iterable_dataset())
    source = sources.open(data.select([]))
    with pytest.raises(SourceError, match="has no rows"):
        source.shards(Kind.SUBSET, "train")


def test_a_dataset_without_images_is_refused() -> None:
    source = sources.open(datasets.Dataset(pa.table({"caption": ["a"]})))
    with pytest.raises(SourceError, match="'train' in memory://dataset lacks a column of images"):
        read(source, "train")
