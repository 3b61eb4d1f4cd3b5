"""Tests of the layout of repositories on the Hub."""

from __future__ import annotations

import pytest

from visdiv_assets.sources.hub.client import HubFile
from visdiv_assets.sources.hub.layout import benchmark_files, subsets_of


def files(*paths: str) -> list[HubFile]:
    return [HubFile("me/images", "c" * 40, path, 1, "b" * 40, None) for path in paths]


def grouped(*paths: str) -> dict[str, list[str]]:
    return {name: list(found) for name, found in subsets_of("me/images", files(*paths)).items()}


def test_each_top_level_folder_is_a_subset() -> None:
    assert grouped("b/train-1.parquet", "b/train-0.parquet", "a(x)/deep/er/0.parquet", "assets/x.png", "README.md") == {
        "a(x)": ["deep/er/0.parquet"],
        "b": ["train-0.parquet", "train-1.parquet"],
    }


@pytest.mark.parametrize(
    "paths",
    [
        ("data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet"),
        ("train-00000-of-00002.parquet", "train-00001-of-00002.PARQUET"),
        ("train/0000.parquet", "train/0001.parquet"),
        ("data/0.parquet", "data/1.parquet"),
        ("train.parquet", "train_extra/x.txt"),
    ],
)
def test_files_in_data_or_folders_of_splits_are_one_subset(paths: tuple[str, ...]) -> None:
    wanted = [path for path in paths if path.lower().endswith(".parquet")]
    assert grouped(*paths) == {"images": wanted}


def test_of_a_subset_with_a_split_train_only_that_one_counts() -> None:
    assert grouped(
        "a/test-0.parquet", "a/train-0.parquet", "b/test/0.parquet", "b/train/0.parquet", "c/test-0.parquet"
    ) == {
        "a": ["train-0.parquet"],
        "b": ["train/0.parquet"],
        "c": ["test-0.parquet"],
    }
    assert grouped("data/test-0.parquet", "data/train-0.parquet", "validation/0.parquet") == {
        "images": ["data/train-0.parquet"]
    }
    assert grouped("a/training_notes.parquet", "a/other.parquet") == {"a": ["other.parquet", "training_notes.parquet"]}


def test_hidden_files_are_ignored() -> None:
    assert grouped(".cache/a/train-0.parquet", "a/.train-0.parquet", "b/train-0.parquet") == {"b": ["train-0.parquet"]}


def test_a_split_is_not_taken_for_one_whose_name_begins_alike() -> None:
    listed = files(
        "data/testmini-0.parquet", "data/test_all-0.parquet", "data/test-0.parquet", "data/test-1-of-2-ab.parquet"
    )
    assert list(benchmark_files(listed, None, "test")) == ["data/test-0.parquet", "data/test-1-of-2-ab.parquet"]
    assert list(benchmark_files(listed, None, "testmini")) == ["data/testmini-0.parquet"]
    assert benchmark_files(listed, None, "val") == {}


def test_files_of_another_config_are_not_taken() -> None:
    listed = files("a/test-0.parquet", "b/test-0.parquet", "data/c/test-0.parquet")
    assert benchmark_files(listed, None, "test") == {}
    assert list(benchmark_files(listed, "b", "test")) == ["b/test-0.parquet"]
    assert list(benchmark_files(listed, "c", "test")) == ["data/c/test-0.parquet"]
    assert benchmark_files(listed, "d", "test") == {}


def test_the_only_folder_is_the_default_config() -> None:
    assert list(benchmark_files(files("only/test-0.parquet", "README.md"), None, "test")) == ["only/test-0.parquet"]
