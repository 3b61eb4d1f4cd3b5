"""`visdiv mixture`, and the diversity of all subsets together, on small subsets."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from visdiv_assets.cli.main import main
from visdiv_assets.diversity.mixture_budget import MixedSubset, allocate_rows, plan, read_bounds
from visdiv_assets.diversity.moments import Moments
from visdiv_assets.errors import VisdivError
from visdiv_assets_tests.conftest import Pipeline, Row, clean_environment, image, made_once, one_each, write_shard

#: Each takes many seconds.
pytestmark = pytest.mark.nightly


def visdiv(*arguments: str, folder: Path) -> Result:
    given = {
        "VISDIV_SOURCE": str(folder / "source"),
        "VISDIV_DATA": str(folder / "data"),
        "VISDIV_DEVICE": "cpu",
        "VISDIV_COPIES_BY": "similarity",
    }
    with clean_environment(**given):
        return CliRunner().invoke(main, list(arguments))


def rows(folder: Path, sql: str) -> list[dict[str, str]]:
    result = visdiv("query", "--format", "csv", sql, folder=folder)
    assert result.exit_code == 0, result.output
    return list(csv.DictReader(io.StringIO(result.output)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Subset `varied` of 12 images, `one` of the same image 5 times, `texts` of rows without images."""

    def make(at: Path) -> None:
        write_shard(at / "source", "varied", one_each(range(12)))
        write_shard(at / "source", "one", [Row([image(50)]) for _ in range(5)])
        write_shard(at / "source", "texts", [Row(), Row()])
        result = visdiv("run", "--all", folder=at)
        assert result.exit_code == 0, result.output

    with clean_environment():
        return made_once(tmp_path_factory, "mixing", make)


def test_diversity_has_scores_of_the_corpus_and_each_addition(folder: Path) -> None:
    found = rows(folder, "SELECT scope, subset, step, images, effective_rank FROM diversity WHERE NOT centered")
    images = {(row["scope"], row["subset"]): int(row["images"]) for row in found}
    assert images["corpus", ""] == 17
    assert images["without", "one"] == 12
    assert images["without", "varied"] == 5
    # Four of the five equal images go from a clean copy.
    assert images["subset_deduplicated", "one"] == images["subset_clean", "one"] == 1
    assert images["corpus_clean", ""] == 13
    rank = {(row["scope"], row["subset"]): float(row["effective_rank"] or 0) for row in found}
    assert rank["subset", "one"] == pytest.approx(1)
    assert rank["without", "one"] == pytest.approx(rank["subset", "varied"])
    steps = {int(row["step"]): row["subset"] for row in found if row["scope"] == "growing"}
    assert steps[1] == "varied"
    assert sorted(steps) == [1, 2, 3]


def test_small_sets_are_marked(folder: Path) -> None:
    assert {row["too_few"] for row in rows(folder, "SELECT DISTINCT too_few FROM diversity")} == {"True"}


def test_the_mixture_prefers_the_varied_subset_within_the_bound(folder: Path) -> None:
    result = visdiv("mixture", folder=folder)
    assert result.exit_code == 0, result.output
    weights = {row["subset"]: float(row["weight"]) for row in rows(folder, "FROM mixture_weights")}
    assert set(weights) == {"varied", "one"}
    assert sum(weights.values()) == pytest.approx(1)
    assert weights["varied"] > 0.8
    (best,) = {
        (
            float(row["score"]),
            float(row["score_upper_bound"]),
            float(row["score_all_rows"]),
            float(row["score_uniform"]),
        )
        for row in rows(folder, "FROM mixture_weights")
    }
    assert best[0] <= best[1] <= best[0] * (1 + 1e-6)
    assert best[0] > best[2]
    assert best[0] > best[3]
    assert f"upper bound              {best[1]:10.4f}" in result.output


def test_a_budget_is_met_in_available_whole_rows(folder: Path) -> None:
    assert visdiv("mixture", "--budget", "15", folder=folder).exit_code == 0
    found = {row["subset"]: row for row in rows(folder, "FROM mixture_weights")}
    assert sum(int(row["rows"]) for row in found.values()) == 15
    assert all(int(row["rows"]) <= int(row["rows_available"]) for row in found.values())
    assert int(found["varied"]["rows"]) == 12


def test_a_budget_above_the_rows_is_refused(folder: Path) -> None:
    result = visdiv("mixture", "--budget", "18", folder=folder)
    assert result.exit_code == 2
    assert result.stderr.startswith("visdiv: a budget of 18 rows is more than the 17 rows with images provide")
    assert visdiv("mixture", "--budget", "18", "--repeats", "2", folder=folder).exit_code == 0


def test_bounds_are_kept(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "bounds.csv").write_text("subset,lower,upper\none,0.4,\nvaried,,0.9\n", encoding="utf-8")
    result = visdiv("mixture", "--bounds", str(tmp_path / "bounds.csv"), folder=folder)
    assert result.exit_code == 0, result.output
    weights = {row["subset"]: float(row["weight"]) for row in rows(folder, "FROM mixture_weights")}
    assert weights["one"] == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("subset,lower\none,0.4\n", "lacks the columns upper: its first line must be subset,lower,upper"),
        ("subset,lower,upper\none,40 %,1\n", "line 2: '40 %' is not a share: give a number from 0 to 1"),
        ("subset,lower,upper\none,0,1\none,0,1\n", "line 3: one occurs a second time"),
    ],
)
def test_invalid_bounds_are_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "bounds.csv").write_text(content, encoding="utf-8")
    with pytest.raises(VisdivError, match=message):
        read_bounds(tmp_path / "bounds.csv")


def test_a_bound_of_an_unknown_subset_is_refused() -> None:
    subset = MixedSubset("one", 3, Moments.from_vectors(np.eye(3)))
    with pytest.raises(VisdivError, match="there are bounds for 'two', which is not materialized"):
        plan([subset], bounds={"two": (0.0, 1.0)})


def test_before_any_run_the_command_to_run_is_named(tmp_path: Path) -> None:
    write_shard(tmp_path / "source", "one", one_each([1]))
    result = visdiv("mixture", folder=tmp_path)
    assert result.exit_code == 2
    assert "no subset with images is materialized: run `visdiv run --all` first" in result.stderr


def test_shares_become_whole_rows_by_largest_remainders() -> None:
    assert allocate_rows(np.array([0.5, 0.3, 0.2]), 7).tolist() == [4, 2, 1]
    assert allocate_rows(np.array([1 / 3, 1 / 3, 1 / 3]), 10).tolist() == [4, 3, 3]


def test_the_corpus_of_an_unchanged_lake_is_not_measured_again(pipeline: Pipeline) -> None:
    pipeline.write("one", one_each([1, 2, 3]))
    assert pipeline.run("one").success
    assert pipeline.publish().success
    before = pipeline.lake.require("corpus_diversity", "all")
    assert pipeline.publish().success
    assert pipeline.lake.require("corpus_diversity", "all").units == before.units
