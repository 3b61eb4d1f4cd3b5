from __future__ import annotations

import csv
from pathlib import Path

import pytest

from visdiv_assets.errors import VisdivError
from visdiv_assets.sources import benchmarks, category, finevision_categories
from visdiv_assets.sources.catalog import BENCHMARK_COLUMNS, FINEVISION, PublishedSubset, is_finevision, published

MINE = {"list": "mine", "hub_id": "me/some", "split": "test"}


def test_every_published_subset_has_one_of_nine_categories() -> None:
    categories = finevision_categories()
    assert len(categories) == 185
    assert len(set(categories.values())) == 9


def test_categories_are_found_by_the_exact_name() -> None:
    assert category("geoqa+(mathv360k)", FINEVISION) == "Mathematics"
    assert category("CoSyn_400k_chart", FINEVISION) == "Chart & Table"
    assert category("cosyn_400k_chart", FINEVISION) is None
    assert category("clipart_nature", FINEVISION) is None


@pytest.mark.parametrize("source", [FINEVISION, f"{FINEVISION}@abc", "/data/finevision", "/data/FineVision_1/"])
def test_copies_of_finevision_have_its_numbers(source: str) -> None:
    assert is_finevision(source)


@pytest.mark.parametrize("source", ["/data/finevision/mine", "images", "hf://datasets/me/art", ""])
def test_subsets_of_other_sources_are_not_finevisions(source: str) -> None:
    assert published("art", source) is None
    assert category("art", source) is None


def test_published_numbers_are_found_by_the_exact_name() -> None:
    assert published("coco_colors", FINEVISION) == PublishedSubset(images=118_287, samples=118_287, turns=118_287)
    found = [published(name, FINEVISION) for name in finevision_categories()]
    assert sum(subset.samples for subset in found if subset) == 24_322_193
    assert published("clipart_nature", FINEVISION) is None


def test_the_caller_may_change_what_it_was_given() -> None:
    finevision_categories().clear()
    assert finevision_categories()


def write_list(folder: Path, *lines: dict[str, str], columns: tuple[str, ...] = BENCHMARK_COLUMNS) -> Path:
    path = folder / "mine.csv"
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, columns)
        writer.writeheader()
        writer.writerows(lines)
    return path


def test_benchmarks_have_unique_names_and_include_finevisions() -> None:
    found = benchmarks()
    assert len({benchmark.name for benchmark in found}) == len(found)
    assert sum(benchmark.list == "finevision66" for benchmark in found) == 66
    assert {benchmark.list for benchmark in found} == {"finevision66", "extra_suggested"}


def test_benchmarks_are_named_as_the_published_files() -> None:
    published = [benchmark for benchmark in benchmarks() if benchmark.list == "finevision66"]
    assert all(benchmark.published_embedding_file == f"{benchmark.name}_embeddings.npy" for benchmark in published)
    assert "lmms-lab-MMMU_test" in [benchmark.name for benchmark in published]
    assert "lmms-lab-DocVQA_InfographicVQA_test" in [benchmark.name for benchmark in published]


def test_the_eleven_evaluations_are_covered() -> None:
    evaluations = {benchmark.evaluation for benchmark in benchmarks() if benchmark.evaluation}
    assert {"mmstar", "ocrbench", "mmmu_val", "docvqa_val", "infovqa_val", "textvqa_val"} <= evaluations


def test_a_users_list_is_read_with_what_it_leaves_empty_as_none(tmp_path: Path) -> None:
    full = {column: f" {column} of it, " for column in BENCHMARK_COLUMNS} | {"hub_id": "a/b", "note": "two\nlines"}
    first, second = benchmarks(write_list(tmp_path, full, MINE, dict.fromkeys(BENCHMARK_COLUMNS, "")))
    assert first.name == "a-b_config of it,_split of it,"
    assert (first.alias, first.evaluation, first.note) == ("alias of it,", "finevision_eval_task of it,", "two\nlines")
    assert second.name == "me-some_test"
    assert (second.alias, second.config, second.image_column, second.evaluation, second.note) == (None,) * 5
    assert second.published_embedding_file is None


def test_a_list_may_have_extra_columns_in_any_order(tmp_path: Path) -> None:
    path = write_list(tmp_path, MINE, columns=("mine too", *reversed(BENCHMARK_COLUMNS)))
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert [benchmark.name for benchmark in benchmarks(str(path))] == ["me-some_test"]


def test_a_list_that_cannot_be_used_is_named_with_what_to_do(tmp_path: Path) -> None:
    def refused(path: Path, match: str) -> None:
        with pytest.raises(VisdivError, match=rf"{path.name}.*{match}"):
            benchmarks(path)

    refused(tmp_path / "gone.csv", "cannot be read .No such file")
    refused(tmp_path, "cannot be read")
    few = tuple(column for column in BENCHMARK_COLUMNS if column not in ("alias", "split"))
    refused(write_list(tmp_path, columns=few), "lacks the columns alias, split; columns found: list, hub_id")
    refused(write_list(tmp_path), "names no benchmark")
    refused(write_list(tmp_path, MINE, MINE), "line 3: me-some_test appears a second time")
    refused(write_list(tmp_path, MINE | {"hub_id": " ", "split": ""}), "line 2, has no hub_id and no split")
    path = write_list(tmp_path, MINE)
    for damaged in (path.read_text() + "a,b\n", path.read_text() + "," * len(BENCHMARK_COLUMNS) + "\n"):
        path.write_text(damaged)
        refused(path, "line 3, does not have as many cells")
    path.write_bytes(b"")
    refused(path, "lacks the columns .* columns found: none")
    path.write_bytes(b"\xff\xfe")
    refused(path, "not in UTF-8")
