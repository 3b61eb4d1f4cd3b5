"""Tests of the layout of repositories, on the Hub and in folders."""

from __future__ import annotations

import pytest

from visdiv_assets.sources.layout import (
    benchmark_files,
    choose_split,
    choose_split_folder,
    splits_of,
    subsets_of,
    without_train,
)


def files(*paths: str) -> dict[str, str]:
    return {path: path for path in paths}


def grouped(*paths: str, split: str = "train") -> dict[str, list[str]]:
    return {name: list(choose_split(found, split)) for name, found in subsets_of("images", files(*paths)).items()}


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


def test_folders_in_data_are_subsets_unless_they_are_splits() -> None:
    assert grouped("data/a/train-0.parquet", "data/a/test-0.parquet", "data/b/x.parquet") == {
        "a": ["train-0.parquet"],
        "b": ["x.parquet"],
    }
    assert grouped("data/train/0.parquet", "data/test/0.parquet") == {"images": ["data/train/0.parquet"]}


@pytest.mark.parametrize(
    ("split", "taken"),
    [
        ("train", ["train-0.parquet", "training/x.parquet"]),
        ("validation", ["dev-0.parquet", "val.parquet"]),
        ("val", ["val.parquet"]),
        ("test", ["test_0.parquet"]),
        ("extra", ["extra-0.parquet"]),
        ("all", ["dev-0.parquet", "extra-0.parquet", "test_0.parquet", "train-0.parquet"]),
        ("none", []),
    ],
)
def test_a_split_is_chosen_by_any_of_its_names(split: str, taken: list[str]) -> None:
    held = files(
        "dev-0.parquet", "extra-0.parquet", "test_0.parquet", "train-0.parquet", "training/x.parquet", "val.parquet"
    )
    chosen = list(choose_split(held, split))
    assert chosen == (list(held) if split == "all" else taken)
    assert splits_of(held) == ["test", "train", "validation"]


def test_a_benchmark_is_read_without_its_split_train() -> None:
    assert list(without_train(files("test-0.parquet", "train-0.parquet", "x.parquet"))) == [
        "test-0.parquet",
        "x.parquet",
    ]
    assert list(without_train(files("train-0.parquet"))) == ["train-0.parquet"]


def test_folders_of_images_are_splits_only_if_all_are() -> None:
    assert choose_split_folder(["test/a.jpg", "train/b.jpg", "val/c.jpg"], "train") == ["train/b.jpg"]
    assert choose_split_folder(["data/test/a.jpg", "data/train/b.jpg"], "test") == ["data/test/a.jpg"]
    buses = ["bus/a.jpg", "train/b.jpg"]
    assert choose_split_folder(buses, "train") == buses
    names = ["test.jpg", "train.jpg"]
    assert choose_split_folder(names, "train") == names


def test_files_beside_folders_of_subsets_are_left_out() -> None:
    assert grouped("a/0.parquet", "images/1.parquet", "dropped.parquet") == {
        "a": ["0.parquet"],
        "images": ["1.parquet"],
    }
    assert grouped("data/a/0.parquet", "data/notes.parquet") == {"a": ["0.parquet"]}
