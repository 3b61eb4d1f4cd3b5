"""Subsets and splits of folders in the layouts that are found in the wild, and what is not read of them."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from visdiv_assets.errors import VisdivError
from visdiv_assets.sources import ImageFolderSource, Kind, ParquetFolderSource, Source
from visdiv_assets.sources import open as open_source
from visdiv_assets.sources.conform import IMAGE
from visdiv_assets.sources.layout import subsets_of
from visdiv_assets.sources.reading import Reading
from visdiv_assets_tests.imaging.images import encode, noise

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "clone"
    path.mkdir()
    return path


def put(folder: Path, *paths: str) -> None:
    """Write Parquet files whose image is their path, and other files with their path as content."""
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        if path.lower().endswith(".parquet"):
            image = pa.array([{"bytes": PNG + path.encode(), "path": None}], IMAGE)
            pq.write_table(pa.table({"image": image}), folder / path)
        else:
            (folder / path).write_text(path)


def content(source: Source, kind: Kind, name: str) -> list[str]:
    shards = source.shards(kind, name)
    batches = [batch for shard in shards for batch in source.batches(kind, name, shard, columns=["images"])]
    found = [row["images"][0]["bytes"] for batch in batches for row in batch.to_pylist()]
    assert source.fetch(kind, name, [(row, 0) for row in range(len(found))]) == found
    assert len(source.digests(kind, name, {})) == len(shards)
    return [data.removeprefix(PNG).decode() for data in found]


def subsets(folder: Path, split: str = "train") -> dict[str, list[str]]:
    source = open_source(folder, reading=Reading(split=split))
    return {name: content(source, Kind.SUBSET, name) for name in source.subsets()}


LAYOUTS = [
    ["data/train-0-of-1.parquet", "data/test-0-of-1.parquet", "data/validation-0-of-1.parquet"],
    ["train/0.parquet", "test/0.parquet"],
    ["default/train/0000.parquet", "default/test/0000.parquet"],
    ["a/train/0.parquet", "a/val/0.parquet", "b/test.parquet"],
    ["a/train-0.parquet", "a/dev-0.parquet", "b/c/d/x.PARQUET"],
    ["train.parquet", "test.parquet"],
    ["x.parquet", "y.parquet"],
    ["data/a/train-0.parquet", "data/b/test-0.parquet", "data/b/train-0.parquet"],
]


@pytest.mark.parametrize("paths", LAYOUTS, ids=lambda paths: paths[0])
def test_a_clone_has_the_subsets_that_the_hub_has(folder: Path, paths: list[str]) -> None:
    put(folder, *paths, "README.md")
    on_the_hub = subsets_of("clone", {path: path for path in paths})
    for split in ("train", "all"):
        found = subsets(folder, split)
        assert list(found) == list(on_the_hub)
        for name, files in found.items():
            held = on_the_hub[name].values()
            trains = [path for path in held if "train" in path]
            assert files == (trains if trains and split == "train" else list(held))


def test_the_split_of_a_subset_can_be_set(folder: Path) -> None:
    put(folder, "subsets/a/test-0.parquet", "subsets/a/train-0.parquet", "subsets/b/x.parquet")
    source = open_source(folder, reading=Reading(split="test"))
    assert content(source, Kind.SUBSET, "a") == ["subsets/a/test-0.parquet"]
    assert list(map(str, source.left_out())) == ["subsets/a/train-0.parquet", "subsets/b/x.parquet"]
    with pytest.raises(VisdivError, match=r"b in .* has no split 'test', it has none: set VISDIV_SPLIT"):
        source.shards(Kind.SUBSET, "b")


def test_a_benchmark_beside_subsets_is_no_subset(folder: Path) -> None:
    put(folder, "a/0.parquet", "benchmarks/exam/test-0.parquet", "benchmarks/exam/train-0.parquet")
    source = open_source(folder)
    assert (source.subsets(), source.benchmarks()) == (["a"], ["exam"])
    assert content(source, Kind.BENCHMARK, "exam") == ["benchmarks/exam/test-0.parquet"]
    assert list(map(str, source.left_out())) == ["benchmarks/exam/train-0.parquet"]


def test_a_logo_beside_parquet_files_is_left_out_and_named(folder: Path) -> None:
    put(folder, "default/train/0000.parquet", "default/test/0000.parquet", "README.md", "LICENSE", "notes.txt")
    (folder / "assets").mkdir()
    for number in range(4):
        (folder / "assets" / f"logo{number}.png").write_bytes(encode(noise()))
    source = open_source(folder)
    assert isinstance(source, ParquetFolderSource)
    assert source.subsets() == ["default"]
    assert list(map(str, source.left_out())) == [
        "assets/logo0.png and 3 more (.png)",
        "default/test/0000.parquet",
        "notes.txt",
    ]


def test_images_beside_parquet_without_images_are_read(folder: Path) -> None:
    (folder / "cats").mkdir()
    (folder / "cats" / "a.png").write_bytes(encode(noise()))
    pq.write_table(pa.table({"name": ["a"], "score": [1]}), folder / "scores.parquet")
    source = open_source(folder)
    assert isinstance(source, ImageFolderSource)
    assert source.subsets() == ["cats"]
    assert list(map(str, source.left_out())) == ["scores.parquet"]


def test_a_table_of_the_paths_of_images_is_read(folder: Path) -> None:
    (folder / "train").mkdir()
    (folder / "train" / "a.png").write_bytes(encode(noise()))
    pq.write_table(pa.table({"file_name": ["a.png"], "text": ["a cat"]}), folder / "train" / "metadata.parquet")
    source = open_source(folder)
    assert isinstance(source, ParquetFolderSource)
    assert source.fetch(Kind.SUBSET, "clone", [(0, 0)]) == [encode(noise())]


def names(source: Source, name: str) -> list[str]:
    return [
        row["images"][0]["path"]
        for shard in source.shards(Kind.SUBSET, name)
        for batch in source.batches(Kind.SUBSET, name, shard, columns=["images"])
        for row in batch.to_pylist()
    ]


def test_images_are_taken_by_ending_or_content(folder: Path) -> None:
    (folder / "s").mkdir()
    for name in ("a.jfif", "b.MPO", "c.jpg_large", "d", "e.heic", "f.pgm", "g.tmp"):
        (folder / "s" / name).write_bytes(encode(noise(), "JPEG"))
    (folder / "s" / "h.data").write_bytes(encode(noise(), "TGA"))
    (folder / "s" / "i.unknown").write_bytes(b"\0\0\0\x1cftypheic\0\0\0\0mif1heic" + bytes(50))
    put(folder, "s/metadata.csv", "s/x.zip", "s/1.txt", "s/2.txt", "s/empty")
    (folder / "s" / "empty").write_bytes(b"")
    (folder / "s" / "page.pdf").write_bytes(b"%PDF-1.7")
    source = open_source(folder)
    assert names(source, "s") == [
        "a.jfif", "b.MPO", "c.jpg_large", "d", "e.heic", "f.pgm", "g.tmp", "h.data", "i.unknown"
    ]  # fmt: skip
    assert list(map(str, source.left_out())) == [
        "s/1.txt, s/2.txt",
        "s/empty",
        "s/metadata.csv",
        "s/page.pdf",
        "s/x.zip",
    ]


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["train/cat/a.png", "test/cat/b.png"], {"clone": ["train/cat/a.png"]}),
        (["data/train/a.png", "data/valid/b.png"], {"clone": ["data/train/a.png"]}),
        (["pets/train/a.png", "pets/test/b.png", "x/y.png"], {"pets": ["train/a.png"], "x": ["y.png"]}),
        (["bus/a.png", "train/b.png"], {"bus": ["a.png"], "train": ["b.png"]}),
        (["data/bus/a.png", "data/car/b.png"], {"bus": ["a.png"], "car": ["b.png"]}),
    ],
)
def test_folders_of_images_have_splits_too(folder: Path, paths: list[str], expected: dict[str, list[str]]) -> None:
    put(folder, *paths)
    source = open_source(folder)
    assert {name: names(source, name) for name in source.subsets()} == expected
    assert sum(group.files for group in source.left_out()) == len(paths) - sum(map(len, expected.values()))


def test_one_subset_that_cannot_be_opened_stops_no_other(folder: Path) -> None:
    for layout in ("", "subsets/"):
        put(folder, f"{layout}good/train-0.parquet", f"{layout}bad/train-0.parquet")
        (folder / f"{layout}bad/train-1.parquet").symlink_to("../../blobs/0123")
        os.mkfifo(folder / f"{layout}good/pipe")
        source = open_source(folder)
        assert source.subsets() == ["bad", "good"]
        assert len(source.shards(Kind.SUBSET, "good")) == 1
        for use in (source.shards, source.size_bytes, source.observed_version, source.columns_taken):
            with pytest.raises(VisdivError, match=r"bad/train-1\.parquet cannot be read"):
                use(Kind.SUBSET, "bad")


def test_a_subset_whose_name_cannot_be_printed_stops_no_other(folder: Path) -> None:
    put(folder, "good/0.parquet")
    (folder / "good" / os.fsdecode(b"\xff.txt")).write_text("x")
    source = open_source(folder)
    assert source.subsets() == ["good"]
    (line,) = map(str, source.left_out())
    assert "which is not UTF-8: rename it" in line
    line.encode()
