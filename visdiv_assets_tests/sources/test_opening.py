from __future__ import annotations

from pathlib import Path

import pytest

from visdiv_assets.errors import VisdivError
from visdiv_assets.sources import (
    Downloads,
    HubSource,
    ImageFolderSource,
    Kind,
    ParquetFolderSource,
    benchmarks,
)
from visdiv_assets.sources import open as open_source
from visdiv_assets_tests.sources.conftest import Corpus, plain_rows


def test_the_sample_opens_with_its_subsets_and_benchmark(sample: Path) -> None:
    source = open_source(sample)
    assert isinstance(source, ParquetFolderSource)
    assert source.uri == str(sample)
    assert source.subsets() == ["clipart_nature", "clipart_people", "clipart_things"]
    assert source.benchmarks() == ["clipart_bench"]


def test_a_relative_folder_survives_a_change_of_directory(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    corpus.write(plain_rows(3))
    monkeypatch.chdir(corpus.root.parent)
    source = open_source("corpus")
    monkeypatch.chdir("/")
    assert source.uri == "corpus"
    assert source.subsets() == ["some"]


def test_a_dataset_on_the_hub_opens_without_a_request(tmp_path: Path) -> None:
    source = open_source("hf://datasets/HuggingFaceM4/FineVision@main", downloads=Downloads(tmp_path))
    assert isinstance(source, HubSource)
    assert source.uri == "hf://datasets/HuggingFaceM4/FineVision@main"
    assert len(source.benchmarks()) == 66
    assert list(tmp_path.iterdir()) == []


def test_the_lists_of_benchmarks_can_be_chosen() -> None:
    def count(lists: str) -> int:
        return len(open_source("hf://datasets/a/b", benchmark_list=lists).benchmarks())

    assert [count(lists) for lists in ("", "extra_suggested", "extra_suggested, finevision66", "none")] == [
        len(benchmarks()),
        len(benchmarks()) - 66,
        len(benchmarks()),
        0,
    ]
    with pytest.raises(VisdivError, match=r"VISDIV_BENCHMARK_LIST: there is no list 'x' .* use finevision66, extra_s"):
        count("finevision66,x")


def test_other_kinds_of_sources_are_refused() -> None:
    with pytest.raises(VisdivError, match=r"s3://bucket/x is not a kind of source .*subsets/<name>"):
        open_source("s3://bucket/x")


@pytest.mark.parametrize("uri", ["no/such/folder", ""])
def test_a_missing_folder_is_named_with_what_is_expected(uri: str) -> None:
    with pytest.raises(VisdivError, match=rf"no folder '{uri}'.*subsets/<name>/\*\.parquet.*images"):
        open_source(uri)


def test_a_file_in_place_of_a_folder_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "x.parquet"
    file.write_bytes(b"x")
    with pytest.raises(VisdivError, match=r"x\.parquet is a file, not a folder"):
        open_source(file)


def test_a_folder_with_nothing_to_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(VisdivError, match=r"holds nothing to read: give .*subsets/<name>/\*\.parquet"):
        open_source(tmp_path)


def test_files_directly_in_a_folder_are_one_subset(sample: Path) -> None:
    source = open_source(sample / "subsets" / "clipart_nature")
    assert source.subsets() == ["clipart_nature"]
    assert len(source.shards(Kind.SUBSET, "clipart_nature")) == 2


def test_a_downloaded_repository_has_no_benchmarks(corpus: Corpus) -> None:
    corpus.write(plain_rows(4), "chartqa")
    corpus.write(plain_rows(5), "art")
    (corpus.root / "subsets" / "assets").mkdir()
    (corpus.root / "subsets" / "README.md").write_text("text")
    source = open_source(corpus.root / "subsets")
    assert source.subsets() == ["art", "chartqa"]
    assert source.benchmarks() == []
    assert [shard.rows for shard in source.shards(Kind.SUBSET, "chartqa")] == [4]
    with pytest.raises(VisdivError, match="has no 'art' among its benchmarks"):
        source.shards(Kind.BENCHMARK, "art")


def test_parquet_is_preferred_to_images_beside_it(corpus: Corpus) -> None:
    corpus.write(plain_rows(1))
    (corpus.root / "logo.png").write_bytes(b"x")
    assert isinstance(open_source(corpus.root), ParquetFolderSource)


def test_a_folder_of_images_opens(tmp_path: Path) -> None:
    (tmp_path / "cats").mkdir()
    (tmp_path / "cats" / "a.JPG").write_bytes(b"x")
    assert isinstance(open_source(tmp_path), ImageFolderSource)
