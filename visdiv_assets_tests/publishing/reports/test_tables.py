"""What the two reports make of the lake's tables, verified or not; the lake and the source are stand-ins."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from visdiv_assets.contamination.images import LOCATED_SCHEMA, RATES_SCHEMA
from visdiv_assets.corpus.image_lookup import ImagePosition
from visdiv_assets.publishing.reports import Report, Verdict, contamination, duplicates
from visdiv_assets_tests.publishing.reports.examples import UnreadableImages

VERDICTS = {
    "verified": [True, False],
    "evidence": ["cropped", "unconfirmed"],
    "reason": ["", "no alignment"],
    "transform": [[1.0, 0.0, 0.0, 0.0, 1.0, 0.0], []],
    "overlap": [0.8, 0.0],
    "agreement": [0.97, 0.0],
}
TRUSTED = {"similarity": 0.5, "PDQ distance": 12, "overlap": 0.8, "agreement": 0.97}


class Store:
    """Reads the tables that a stand-in of a manifest holds."""

    def read(self, manifest: Any, name: str, where: Any = None) -> pa.Table:
        table = manifest.tables[name]
        return table if where is None else table.filter(where)


def reader() -> Any:
    return UnreadableImages(Store())


def manifest(settings: dict[str, float] | None = None, **tables: pa.Table) -> Any:
    return SimpleNamespace(
        tables=tables,
        files=lambda name: [name] if name in tables else [],
        settings=settings or {},
        model_id="sscd",
        partition="clipart",
        facts={"images": 9, "images_unique": 7, "images_unreadable": 1},
    )


@pytest.fixture(autouse=True)
def _fake_source(monkeypatch: pytest.MonkeyPatch) -> None:
    def find_positions(store: Any, subset: str, image_ids: Iterable[str]) -> dict[str, ImagePosition]:
        return {image_id: ImagePosition(subset, ord(image_id) - ord("a"), 0, image_id) for image_id in image_ids}

    for module in (duplicates, contamination):
        monkeypatch.setattr(module, "find_first_positions", find_positions)


def duplicates_of(**changes: Any) -> Report:
    near = pa.table({"image_id_a": ["a"], "image_id_b": ["b"], "similarity": [0.9], "similarity_normalized": [0.3]})
    nearest = manifest({"similarity_floor": 0.75}, pairs=near)
    return duplicates.duplicates_report(reader(), nearest, manifest(), **changes)


def test_duplicates_without_verdicts_are_the_near_ones() -> None:
    content = duplicates_of()
    (only,) = content.pairs
    assert only.columns == {"similarity": 0.9, "normalized": 0.3}
    assert only.verdict is None
    assert content.facts["minimum similarity"] == "0.75"
    assert "pairs confirmed" not in content.facts
    assert content.introduction == duplicates.INTRODUCTION


def test_duplicates_with_verdicts() -> None:
    compared = pa.table(
        {"image_id_a": ["a", "b"], "image_id_b": ["b", "c"], "similarity": [0.5, 0.9], "pdq_distance": [12, None]}
        | VERDICTS
    )
    verified = manifest({"candidate_floor": 0.45, "pdq_distance": 31}, pairs=compared)
    content = duplicates_of(verified=verified, measured=["Recall is 71 %."])
    rejected, confirmed = content.pairs
    assert confirmed.verdict == Verdict(True, "cropped", "", (1.0, 0.0, 0.0, 0.0, 1.0, 0.0), 0.8, 0.97)
    assert confirmed.columns == TRUSTED
    assert rejected.verdict == Verdict(False, "unconfirmed", "no alignment")
    assert content.pairs_total == 2
    assert content.measured == ["Recall is 71 %."]
    assert [content.facts[f"pairs {name}"] for name in ("confirmed", "rejected", "undecided")] == ["1", "1", "0"]
    assert content.facts["minimum similarity of candidate pairs"] == "0.45"
    assert content.facts["maximum PDQ distance of candidate pairs"] == "31"


def test_a_subset_of_which_nothing_was_compared_has_a_report() -> None:
    content = duplicates_of(verified=manifest())
    assert (content.pairs, content.pairs_total) == ([], 0)


def located(image_ids: str, similarities: Sequence[float]) -> pa.Table:
    rows = [
        {
            "image_id": image_id,
            "benchmark": "bench",
            "benchmark_row": number,
            "benchmark_image": 0,
            "benchmark_image_id": "x",
            "benchmark_positions": 1,
            "similarity": similarity,
            "similarity_normalized": 0.25,
            "low_information": False,
        }
        for number, (image_id, similarity) in enumerate(zip(image_ids, similarities, strict=True))
    ]
    return pa.Table.from_pylist(rows, schema=LOCATED_SCHEMA)


def rates(rule: str, threshold: float | None, contaminated: int) -> pa.Table:
    known = {"benchmark": "bench", "rule": rule, "threshold": threshold, "images": 100, "benchmark_images": 50}
    counted = {"images_contaminated": contaminated, "benchmark_images_leaked": contaminated}
    share = {"rate": contaminated / 100, "ci_low": 0.0, "ci_high": 1.0}
    return pa.Table.from_pylist([known | counted | share], schema=RATES_SCHEMA)


def contamination_tables() -> dict[str, Any]:
    return {
        subset: manifest(pairs=located("a", [0.75]), rates=rates("similarity", 0.95, 3)) for subset in ("one", "two")
    }


def test_leaks_without_verdicts() -> None:
    content = contamination.leak_report(reader(), "bench", contamination_tables(), 0.95)
    assert [pair.columns for pair in content.pairs] == [
        {"similarity": 0.75, "normalized": 0.25, "low information": False}
    ] * 2
    assert content.table is not None
    assert content.table.headers[1] == "images"
    assert [row[2] for row in content.table.rows] == ["3", "3"]
    assert content.facts["subsets compared"] == "2"


def test_leaks_of_which_a_part_was_verified() -> None:
    compared = located("ab", [0.5, 0.9])
    for name, values in ({"pdq_distance": [12, None]} | VERDICTS).items():
        compared = compared.append_column(name, pa.array(values))
    verified = {"two": manifest(pairs=compared, rates=rates("verified", None, 1))}
    content = contamination.leak_report(reader(), "bench", contamination_tables(), 0.95, verified=verified)
    assert [(pair.left.place, pair.verified) for pair in content.pairs] == [
        ("two", False),
        ("one", None),
        ("two", True),
    ]
    assert content.pairs_total == 3
    assert content.table is not None
    assert [list(row[:4]) for row in content.table.rows] == [
        ["one", "similarity at least 0.95", "100", "3"],
        ["two", "similarity at least 0.95", "100", "3"],
        ["two", "confirmed", "100", "1"],
    ]
    assert (content.facts["pairs confirmed"], content.facts["pairs rejected"]) == ("1", "1")


def test_a_benchmark_without_pairs_has_a_report() -> None:
    empty = {"one": manifest(rates=rates("similarity", 0.95, 0))}
    content = contamination.leak_report(reader(), "bench", empty, 0.95)
    assert (content.pairs, content.pairs_total) == ([], 0)
