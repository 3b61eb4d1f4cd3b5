"""People's decisions beside the verdicts of a partition: which are its own, and which pairs count with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from visdiv_assets.contamination.positions import LEAK_IDS, decided_leaks
from visdiv_assets.duplicates.decided_pairs import decided_pairs, effect_of, obey
from visdiv_assets.duplicates.person_decisions import DECISIONS_SCHEMA, Decisions
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import Manifest
from visdiv_assets_tests.curation.lakes import add_embeddings, image_id

VECTORS = {letter: np.array([np.cos(number), np.sin(number)]) for number, letter in enumerate("abcdef")}


def decisions(*pairs: str) -> Decisions:
    """Return decisions such as `ab right`."""
    rows = []
    for pair in sorted(pairs):
        letters, decision = pair.split()
        a, b = letters[0], letters[1]
        kind = "contamination" if a == b else "duplicates"
        rows.append({"image_id_a": image_id(a), "image_id_b": image_id(b), "decision": decision, "kind": kind})
    return Decisions(pa.Table.from_pylist(rows, schema=DECISIONS_SCHEMA))


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path)


def embedded(lake: Lake, name: str, images: str, table: str = "sscd_embeddings") -> Manifest:
    """Write the embeddings of some images."""
    return add_embeddings(lake, name, (images, np.array([VECTORS[image] for image in images])), table=table)


def told(table: pa.Table, a: str = "image_id_a", b: str = "image_id_b") -> list[str]:
    """Return decisions as `decisions` takes them."""
    columns = (table[name].to_pylist() for name in (a, b, "decision"))
    return [f"{one[0]}{two[0]} {decision}" for one, two, decision in zip(*columns, strict=True)]


def test_a_partition_has_the_decisions_on_its_images(lake: Lake) -> None:
    one, two = embedded(lake, "one", "cab"), embedded(lake, "two", "bd")
    said = decisions("aa right", "ab right", "ad wrong", "bd wrong", "ce right", "ac unsure")
    assert told(decided_pairs(lake, [one], said)) == ["ab right"]
    assert told(decided_pairs(lake, [two], said)) == ["bd wrong"]
    assert told(decided_pairs(lake, [one, two], said, across=True)) == ["ad wrong"]
    assert told(decided_pairs(lake, [one], said, across=True)) == []
    within = decided_pairs(lake, [one], said)
    assert within["similarity"].to_pylist() == pytest.approx([np.cos(1)], abs=1e-3)
    assert effect_of(within) != effect_of(decided_pairs(lake, [one], decisions("ab wrong")))
    assert effect_of(within) == effect_of(decided_pairs(lake, [one], decisions("ab right", "be right")))
    assert effect_of(decided_pairs(lake, [one], Decisions())) == ""


def test_leaks_are_decided_in_both_directions(lake: Lake) -> None:
    own = embedded(lake, "one", "acd")
    tests = {name: embedded(lake, name, images, "benchmark_embeddings") for name, images in (("x", "bd"), ("y", "db"))}
    said = decisions("ab right", "bc wrong", "dd wrong", "ac wrong", "be right")
    found = decided_leaks(lake, own, tests, said)
    assert told(found, *LEAK_IDS[::2]) == ["ab right", "dd wrong", "cb wrong"] * 2
    assert found["benchmark"].to_pylist() == ["x"] * 3 + ["y"] * 3
    assert found["similarity"].to_pylist()[:3] == pytest.approx([np.cos(1), 1, np.cos(1)], abs=1e-3)


def compared(*rows: tuple[str, bool | None, str]) -> pa.Table:
    """Return compared pairs: two letters, the verdict and the evidence."""
    return pa.table(
        {
            "image_id_a": [image_id(pair[0]) for pair, _, _ in rows],
            "image_id_b": [image_id(pair[1]) for pair, _, _ in rows],
            "verified": pa.array([verified for _, verified, _ in rows], pa.bool_()),
            "confidence": pa.array([0.5 for _ in rows], pa.float32()),
            "evidence": [evidence for _, _, evidence in rows],
        }
    )


def test_a_decision_overrides_the_verdict() -> None:
    pairs = compared(("ab", True, "cropped"), ("ac", True, "cropped"), ("ad", None, "unconfirmed"), ("bc", False, "x"))
    decided = decisions("ab wrong", "ac right", "ad right", "ef right").table
    found = {
        f"{row['image_id_a'][0]}{row['image_id_b'][0]}": (
            row["verified"],
            row["evidence"],
            row["decision"],
            row["confidence"],
        )
        for row in obey(pairs, decided).to_pylist()
    }
    assert found == {
        "ab": (False, "cropped", "wrong", 0.5),
        "ac": (True, "cropped", "right", 0.5),
        "ad": (True, "person", "right", 0.5),
        "bc": (False, "x", None, 0.5),
        "ef": (True, "person", "right", None),
    }


def test_without_decisions_verdicts_stay() -> None:
    pairs = compared(("ab", True, "cropped"), ("ac", None, "unconfirmed"))
    kept = obey(pairs, DECISIONS_SCHEMA.empty_table())
    assert kept.drop_columns(["decision"]).equals(pairs)
    assert kept["decision"].null_count == 2
