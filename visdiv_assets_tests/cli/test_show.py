"""`visdiv show` on a small source with a copy, a leak and an unreadable image."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from visdiv_assets_tests.cli.test_main import visdiv
from visdiv_assets_tests.conftest import Row, image, made_once, near_copy, write_shard
from visdiv_assets_tests.testing.small_lakes import COPIES, DECISIONS, LEAKS, OF_BENCHMARK, run_stages


def make(folder: Path) -> None:
    rows = [Row([image(1)]), Row([near_copy(1)]), Row([image(2), image(3)]), Row([b"broken"]), Row([image(1)])]
    write_shard(folder / "source", "birds", rows)
    benchmark = folder / "source" / "benchmarks" / "exam"
    benchmark.parent.mkdir(parents=True)
    write_shard(folder / "other", "exam", [Row([image(9)]), Row([image(2)])])
    (folder / "other" / "subsets" / "exam").rename(benchmark)
    run_stages(folder, subset=(*COPIES, *LEAKS), corpus=DECISIONS, benchmark=OF_BENCHMARK)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_once(tmp_path_factory, "showing", make)


def show(made: Path, *arguments: str) -> Result:
    return visdiv("show", *arguments, source=made / "source", data=made / "data")


def shown(made: Path, *arguments: str) -> dict[str, Any]:
    result = show(made, *arguments, "--format", "json")
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_a_copy_is_shown_with_its_witness(made: Path) -> None:
    found = shown(made, "birds", "4")
    assert (found["kind"], found["row_in_file"]) == ("subset", 4)
    pairs = {(pair["row"], pair["verdict"], pair["evidence"]) for pair in found["pairs"]}
    assert (0, "confirmed", "identical_pixels") in pairs
    rows = [shown(made, "birds", row)["decision"] for row in ("0", "4")]
    assert sorted(decision["kept"] for decision in rows) == [False, True]
    (dropped,) = (decision for decision in rows if not decision["kept"])
    assert (dropped["reason"], dropped["witness"], dropped["witness_kind"]) == ("duplicate", "birds", "subset")
    assert dropped["witness_file"] == found["file"]


def test_a_leak_is_shown_from_both_sides(made: Path) -> None:
    (leak,) = shown(made, "birds", "2")["leaks"]
    assert (leak["benchmark"], leak["benchmark_row"], leak["verdict"]) == ("exam", 1, "confirmed")
    (found,) = shown(made, "exam", "1")["leaks"]
    assert (found["subset"], found["row"], found["other_image_index"]) == ("birds", 2, 0)


def test_an_unreadable_image_says_why_the_row_is_dropped(made: Path) -> None:
    result = show(made, "birds", "3")
    assert "Dropped: unreadable (not_an_image" in result.output
    assert "not_an_image" in result.output.partition("Images")[2]


def test_one_image_of_a_row_can_be_chosen(made: Path) -> None:
    assert [each["image_index"] for each in shown(made, "birds", "2")["images"]] == [0, 1]
    found = shown(made, "birds", "2", "--image", "1")
    assert [each["image_index"] for each in found["images"]] == [1]
    assert found["leaks"] == []


def test_the_page_shows_the_row_and_its_close_images(made: Path, tmp_path: Path) -> None:
    page = tmp_path / "row.html"
    result = show(made, "birds", "4", "--html", str(page))
    assert f"It is shown in {page}." in result.output
    html = page.read_text(encoding="utf-8")
    assert html.count('aria-label="Image of birds, row 4, image 0"') == 1
    assert html.count('aria-label="Image of birds, row 0, image 0"') >= 1
    assert "default-src &#39;none&#39;" in html
    assert "<script" not in html


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("bird", "0"), "no subset or benchmark 'bird' is published: did you mean 'birds'?"),
        (("birds", "0", "--benchmark"), "no benchmark 'birds' is published: "),
        (("birds", "5"), "'birds' has no row 5: its rows are 0 to 4"),
        (("exam", "2"), "'exam' has no row 2: its rows are 0 to 1"),
        (("birds", "0", "--image", "7"), "row 0 of 'birds' has no image 7: images count from 0"),
    ],
)
def test_what_is_not_there_is_named_in_one_line(made: Path, arguments: tuple[str, ...], line: str) -> None:
    result = show(made, *arguments)
    assert result.exit_code == 2
    assert result.output.startswith(f"visdiv: {line}")
    assert result.output.count("\n") == 1
