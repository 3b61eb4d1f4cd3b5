"""`visdiv concepts` and `visdiv balance` on a small subset with given texts."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import Result

from visdiv_assets_tests.cli.test_main import refused, visdiv
from visdiv_assets_tests.conftest import image, made_once
from visdiv_assets_tests.testing.small_lakes import run_stages
from visdiv_assets_tests.testing.told_rows import Told, write_told

DOG: Told = ([image(1)], [("What?", "a red dog")])
CAT: Told = ([image(2)], [("What?", "a cat")])
ROWS = [DOG] * 6 + [CAT] * 4


def make(folder: Path) -> None:
    write_told(folder / "source", "some", ROWS)
    run_stages(folder, subset=["subset_images", "subset_turns"], corpus=["warehouse"])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_once(tmp_path_factory, "balancing", make)


def run(made: Path, *arguments: str) -> Result:
    return visdiv(*arguments, source=made / "source", data=made / "data", VISDIV_CLIP_MODEL="")


def test_concepts_are_counted_by_rows(made: Path, tmp_path: Path) -> None:
    words = tmp_path / "words.txt"
    words.write_text("dog\ncat\nbird\n")
    ran = run(made, "concepts", "--concepts", str(words), "--tail-share", "0.4", "--format", "json")
    assert ran.exit_code == 0, ran.output
    records = [json.loads(line) for line in ran.stdout.splitlines()]
    listed = [(each["concept"], each["texts"], each["tail"]) for each in records if each["table"] == "concepts"]
    assert listed == [("dog", 6, False), ("cat", 4, True), ("bird", 0, True)]
    (subset,) = [each for each in records if each["table"] == "subsets"]
    assert (subset["texts"], subset["matches"], subset["tail_share"]) == (10, 10, 0.4)
    assert "2 of 3 concepts found; 1 is in the tail, t = 4 rows." in ran.stderr
    assert "red dog" in run(made, "concepts").stdout


def test_weights_give_an_attribute_its_share(made: Path, tmp_path: Path) -> None:
    out = tmp_path / "weights.parquet"
    sql = "SELECT subset, row, row < 6 AS dog, row % 2 = 0 AS even FROM rows"
    ran = run(made, "balance", sql, "--attribute", "dog=0.5", "--rate", "0.6", "--out", str(out))
    assert ran.exit_code == 0, ran.output
    weights = pq.read_table(out).sort_by("row")["weight"].to_numpy()
    assert weights.mean() == pytest.approx(0.6, abs=1e-5)
    assert weights[:6].sum() == pytest.approx(3, abs=1e-4)
    assert weights[:6:2].sum() == pytest.approx(weights[6::2].sum(), abs=1e-4)
    assert np.ptp(weights[:6:2]) < 1e-9
    unmet = run(made, "balance", sql, "--attribute", "dog=0.1", "--rate", "1")
    assert "No weights balance everything: the largest bias that remains is 0." in unmet.stdout


@pytest.mark.parametrize(
    ("sql", "line"),
    [
        ("SELECT row FROM rows", "must have the columns subset and row"),
        ("SELECT subset, row, row AS dog FROM rows", "the column dog is not of true or false"),
        ("SELECT subset, row, true AS cat FROM rows", "the query has no column 'dog' of true or false: it has cat"),
    ],
)
def test_queries_without_flags_are_refused(made: Path, sql: str, line: str) -> None:
    assert line in refused(run(made, "balance", sql, "--attribute", "dog"))
