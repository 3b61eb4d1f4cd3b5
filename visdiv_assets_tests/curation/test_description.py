"""The card and the Croissant metadata of an export, checked by MLCommons' own validator."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from visdiv_assets import sources
from visdiv_assets.curation.dataset_facts import BenchmarkFacts, DatasetFacts, SubsetFacts
from visdiv_assets.curation.description import findings
from visdiv_assets.curation.export import export
from visdiv_assets_tests.conftest import Row, image, write_shard
from visdiv_assets_tests.curation.exports import decide

FACTS = DatasetFacts(
    [SubsetFacts("a|b", 7, 9, 1, 2, 3), SubsetFacts("new", 5, 5, 0, None, None)],
    [BenchmarkFacts("exam", 40, 3), BenchmarkFacts("clean", 50, 0), BenchmarkFacts("not compared", 60, None)],
    "2026-05-04",
)


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    for subset in ("birds", "geoqa+(x) y"):
        write_shard(tmp_path / "source", subset, [Row([image(1)], turns=2), Row([image(2), image(3)])])
    (tmp_path / "source" / "README.md").write_text("---\nlicense: cc-by-4.0\n---\n# Made up\n")
    source = sources.open(tmp_path / "source")
    decisions = [decide(source, subset, [True, True]) for subset in source.subsets()]
    export(source, decisions, tmp_path / "clean", facts=FACTS)
    return tmp_path / "clean"


#: Runs apart: mlcroissant brings absl, whose log handler closes the stream in which pytest captures output.
VALIDATOR = """
import json, sys
import mlcroissant
described = mlcroissant.Dataset(sys.argv[1])
names = [record_set.name for record_set in described.metadata.record_sets]
rows = [sorted(row) for row in described.records("birds")]
print(json.dumps([sorted(described.metadata.ctx.issues.errors), names, rows]))
"""


def test_the_validator_accepts_the_metadata_and_reads_rows(exported: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", VALIDATOR, str(exported / "croissant.json")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    errors, names, rows = json.loads(ran.stdout.splitlines()[-1])
    assert errors == []
    assert sorted(names) == ["birds", "geoqa%2B%28x%29%20y"]
    assert len(rows) == 2
    assert "birds/images" in rows[0]


def test_the_metadata_state_license_date_and_limits(exported: Path) -> None:
    described = json.loads((exported / "croissant.json").read_text())
    assert described["conformsTo"] == "http://mlcommons.org/croissant/1.0"
    assert (described["license"], described["datePublished"]) == ("cc-by-4.0", "2026-05-04")
    assert described["description"] == (exported / "README.md").read_text().split("---\n", 2)[2]
    assert "## Limits" in described["description"]


def test_the_card_states_the_findings_and_keeps_its_metadata(exported: Path) -> None:
    card = (exported / "README.md").read_text()
    assert len(yaml.safe_load(card.split("---")[1])["configs"]) == 2
    assert "The source states `cc-by-4.0`." in card
    assert "| `a\\|b` | 7 | 9 | 1 | 2 | 3 |\n" in card
    assert "| `new` | 5 | 5 | 0 | not computed | not computed |\n" in card
    assert "compared with those of 2 benchmarks:" in card
    assert "| `exam` | 40 | 3 |\n" in card
    assert "not compared" not in card


def test_without_leaks_the_card_says_so() -> None:
    assert "of 1 benchmark; none has a copy.\n" in "".join(
        findings(DatasetFacts([], [BenchmarkFacts("exam", 40, 0)], ""))
    )


def test_without_benchmarks_the_card_does_not_claim_a_comparison() -> None:
    card = "".join(findings(DatasetFacts([], [BenchmarkFacts("exam", 40, None)], "")))
    assert "The images were not compared with those of a benchmark.\n" in card
    assert "none has a copy" not in card
