"""People's decisions on pairs, end to end: runs obey them, make only what depends on them, and export them."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

import pytest

from visdiv_assets.duplicates.decided_pairs import effect_of
from visdiv_assets.duplicates.person_decisions import append_decision, parse_decision, read_decisions
from visdiv_assets.settings import Settings
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.partition_write import PartitionWrite
from visdiv_assets_tests.cli.conftest import ACROSS, LEAK, WITHIN, copied, run_visdiv
from visdiv_assets_tests.conftest import image, near_copy, query


@pytest.fixture
def settings(ran_all: Path, tmp_path: Path) -> Settings:
    """Return settings of a copy that a test may change."""
    return copied(ran_all, tmp_path)


def run(settings: Settings, *arguments: str) -> str:
    """Run `visdiv run` and return what it prints."""
    result = run_visdiv(settings, "run", *arguments, VISDIV_CLIP_MODEL="")
    assert result.exit_code == 0, result.output
    return result.stdout


def decide(settings: Settings, a: bytes, b: bytes, decision: str, **values: Any) -> None:
    """Append a decision on two images."""
    low, high = sorted(hashlib.sha256(data).hexdigest()[:32] for data in (a, b))
    line = {"image_id_a": low, "image_id_b": high, "decision": decision, "kind": "duplicates", **values}
    line["decided_at"] = datetime.now(UTC).isoformat()
    append_decision(settings.decisions_path, parse_decision(json.dumps(line)))


def dropped(settings: Settings) -> set[tuple[Any, ...]]:
    """Return subset, reason and evidence of the dropped rows of `one` and `two`."""
    return set(query(settings, "SELECT subset, reason, evidence FROM dropped_rows WHERE subset IN ('one', 'two')"))


def precision(settings: Settings) -> list[tuple[Any, ...]]:
    """Return the precision by people's judgement over all pairs."""
    return query(
        settings,
        """SELECT kind, basis, judged, "right", wrong, precision FROM review_precision
        WHERE subset = 'ALL' AND evidence = 'ALL' ORDER BY ALL""",
    )


def units(settings: Settings) -> dict[tuple[str, str], tuple[str, ...]]:
    """Return the digests of the units of each partition of each table."""
    lake = Lake(settings.lake_root)
    return {
        (table, partition): tuple(unit.digest for unit in lake.require(table, partition).units)
        for table in lake.tables()
        for partition in lake.partitions(table)
    }


def test_a_refuted_pair_is_no_copy_until_the_decision_is_withdrawn(settings: Settings, tmp_path: Path) -> None:
    before = dropped(settings)
    assert {(subset, reason) for subset, reason, _ in before} == {
        ("one", "duplicate"),
        ("two", "duplicate"),
        ("one", "contaminated"),
    }
    assert precision(settings) == []
    old = units(settings)
    compared = []

    def note(write: PartitionWrite, name: str, *arguments: object) -> Any:
        compared.append((write.plan.table, name))
        return add(write, name, *arguments)  # type: ignore[arg-type]

    add = PartitionWrite.add
    decide(settings, image(WITHIN), near_copy(WITHIN), "wrong", sampled=True)
    status = run_visdiv(settings, "status").stdout.splitlines()
    assert [line.split()[0] for line in status if "people have decided on pairs since" in line] == ["one"]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(PartitionWrite, "add", note)
        printed = run(settings, "--changed")
    assert "done   one " in printed
    assert "done   two " not in printed
    assert "done   geoqa" not in printed
    assert {table for table, _ in compared} <= {
        "verified_duplicates",
        "duplicates_report",
        "duplicate_clusters",
        "curated_rows",
        "corpus_diversity",
        "text_duplicates",
        "publications",
    }
    assert ("verified_duplicates", "pairs") not in compared
    changed = {key for key, made in units(settings).items() if made != old[key]}
    assert ("verified_duplicates", "one") in changed
    assert not {key for key in changed if key[1] not in ("one", "all")}
    assert {(subset, reason) for subset, reason, _ in dropped(settings)} == {
        ("two", "duplicate"),
        ("one", "contaminated"),
    }
    assert precision(settings) == [("duplicates", "judged", 1, 0, 1, 0.0), ("duplicates", "sampled", 1, 0, 1, 0.0)]
    sql = "SELECT verdict, decision, pixel_verdict FROM close_pairs WHERE decision IS NOT NULL"
    assert query(settings, sql) == [("rejected", "wrong", "confirmed")]
    assert "people have decided" not in run_visdiv(settings, "status").stdout
    exported = run_visdiv(settings, "export", str(tmp_path / "clean"))
    assert exported.exit_code == 0, exported.output
    written = read_decisions(tmp_path / "clean" / "decisions.jsonl")
    assert effect_of(written.effective) == effect_of(read_decisions(settings.decisions_path).effective) != ""
    assert "`decisions.jsonl` has 1 decision of people" in (tmp_path / "clean" / "README.md").read_text()
    decide(settings, image(WITHIN), near_copy(WITHIN), "unsure")
    run(settings, "--changed")
    assert dropped(settings) == before


@pytest.mark.nightly
def test_decisions_count_across_subsets_and_for_benchmarks(settings: Settings) -> None:
    decide(settings, image(ACROSS), near_copy(ACROSS), "wrong")
    decide(settings, image(LEAK), near_copy(LEAK), "wrong", kind="contamination")
    decide(settings, image(14), image(15), "right")
    decide(settings, image(15), image(16), "right")
    decide(settings, image(17), near_copy(LEAK), "right", kind="contamination")
    run(settings, "--changed")
    found = dropped(settings)
    assert {(subset, reason) for subset, reason, evidence in found if evidence == "person"} >= {
        ("one", "duplicate"),
        ("two", "contaminated"),
    }
    assert {(subset, reason) for subset, reason, evidence in found if evidence != "person"} == {("one", "duplicate")}
    rates = (
        "SELECT subset, images_contaminated, benchmark_images_leaked FROM contamination_rates WHERE rule='confirmed'"
    )
    assert set(query(settings, rates)) == {("geoqa+(x)", 1, 1), ("one", 0, 0), ("two", 1, 1)}
    verdicts = (
        "SELECT subset, verdict, decision, evidence FROM contamination_pairs WHERE decision IS NOT NULL ORDER BY ALL"
    )
    assert [row[:3] for row in query(settings, verdicts)] == [
        ("one", "rejected", "wrong"),
        ("two", "confirmed", "right"),
    ]


@pytest.mark.nightly
def test_a_killed_run_continues(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = dropped(settings)
    decide(settings, image(WITHIN), near_copy(WITHIN), "wrong")
    write = Lake.write

    def stop(lake: Lake, table: str, *arguments: Any, **named: Any) -> PartitionWrite:
        if table == "duplicate_clusters":
            return _interrupt()
        return write(lake, table, *arguments, **named)

    with monkeypatch.context() as patched:
        patched.setattr(Lake, "write", stop)
        assert run_visdiv(settings, "run", "--changed", VISDIV_CLIP_MODEL="").exit_code == 130
    assert dropped(settings) == before
    refused = run_visdiv(settings, "export", str(tmp_path / "clean"))
    assert refused.exit_code == 2
    assert "people have decided on pairs since rows were decided" in refused.output
    run(settings, "--changed")
    assert len(dropped(settings)) == len(before) - 1


def _interrupt() -> NoReturn:
    raise KeyboardInterrupt


def test_a_bad_line_stops_a_run_with_one_line(settings: Settings) -> None:
    Path(settings.decisions_path).write_text("{}\n")
    result = run_visdiv(settings, "run", "--changed")
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1].startswith(f"visdiv: {settings.decisions_path}, line 1 is not a decision")
