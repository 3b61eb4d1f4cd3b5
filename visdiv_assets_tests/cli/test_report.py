"""`visdiv report` on findings of a few stages, images and scores of equal numbers among them."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from visdiv_assets.cli.main import main
from visdiv_assets.storage.lake import Lake
from visdiv_assets_tests.conftest import Row, clean_environment, image, made_once, write_shard
from visdiv_assets_tests.publishing.site.pages import ReadPage
from visdiv_assets_tests.testing.small_lakes import COPIES, DECISIONS, run_stages

MEASURES = ("subset_diversity", "rarefied_diversity")

#: Positions of the subset `many`, which show six images in turn: two of each that stand for others.
MANY = 258


def visdiv(*arguments: str, folder: Path) -> Result:
    given = {"VISDIV_SOURCE": str(folder / "source"), "VISDIV_DATA": str(folder / "data"), "VISDIV_DEVICE": "cpu"}
    with clean_environment(**given):
        return CliRunner().invoke(main, list(arguments))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Subset `many` of 258 positions of six images, `few` of two, and their site."""

    def make(at: Path) -> None:
        write_shard(at / "source", "many", [Row([image(number % 6)]) for number in range(MANY)])
        write_shard(at / "source", "few", [Row([image(0)]), Row([image(70)])])
        run_stages(at, subset=(*COPIES, *MEASURES, "duplicates_report"), corpus=DECISIONS)
        result = visdiv("report", folder=at)
        assert result.exit_code == 0, result.output

    with clean_environment():
        return made_once(tmp_path_factory, "reporting", make)


def test_it_prints_the_path_of_the_page(folder: Path) -> None:
    result = visdiv("report", "--no-images", folder=folder)
    page = Path(result.output.strip())
    assert page == (folder / "data" / "reports" / "site" / "index.html")
    assert page.is_file()
    # Other tests look at the images.
    assert visdiv("report", folder=folder).exit_code == 0


def test_before_any_run_the_command_to_run_is_named(tmp_path: Path) -> None:
    result = visdiv("report", folder=tmp_path)
    assert result.exit_code == 2
    assert "visdiv.duckdb does not exist yet: run `visdiv run --all` first" in result.output


def test_subsets_link_to_their_reports(folder: Path) -> None:
    page = ReadPage(folder / "data" / "reports" / "site" / "index.html")
    assert {link for link in page.links if link.startswith("..")} == {
        "../duplicates/many.html",
        "../duplicates/few.html",
    }


def test_reports_link_back_to_the_site(folder: Path) -> None:
    page = folder / "data" / "reports" / "duplicates" / "many.html"
    assert '<a href="../site/index.html">Overview</a>' in page.read_text()
    assert "<bdi>source</bdi>" in page.read_text()


def test_the_largest_clusters_show_their_images(folder: Path) -> None:
    page = ReadPage(folder / "data" / "reports" / "site" / "clusters.html")
    shown = [given["aria-label"] for _, given in page.tags if given.get("role") == "img"]
    assert "Image of few, row 0, image 0; train-00000.parquet, row 0" in shown
    assert len(shown) == 6
    (table,) = page.tables
    assert page.values(table, "Positions") == [44, 43, 43, 43, 43, 43]


def test_scores_of_samples_are_those_of_the_positions(folder: Path) -> None:
    page = ReadPage(folder / "data" / "reports" / "site" / "diversity.html")
    (row,) = page.charts["ranking"]["values"]
    assert (row["subset"], row["size"], row["images"]) == ("many", "256 (too few)", str(MANY))
    assert row["low"] <= row["mean"] <= row["high"]
    lake = Lake(folder / "data" / "lake")
    (found,) = lake.read(lake.require("rarefied_diversity", "many"), "scores").to_pylist()
    # Six images, nearly alike in number: five directions of a covariance at most.
    assert 3 < found["effective_rank_mean"] <= 5
    assert (found["seeds"], found["too_few"]) == (8, True)
    assert lake.read(lake.require("rarefied_diversity", "few"), "scores").num_rows == 0
