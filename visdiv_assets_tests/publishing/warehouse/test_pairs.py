"""The published pairs: their positions, compared with brute force, and their verdicts."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from visdiv_assets.duplicates.near import PAIRS_SCHEMA
from visdiv_assets.duplicates.pair_verification import VERIFIED_SCHEMA
from visdiv_assets.publishing.warehouse.publish import publish
from visdiv_assets.storage.lake import Lake
from visdiv_assets_tests.publishing.warehouse.lakes import SOME, A, B, C, Contents, Place, as_pairs, image_id
from visdiv_assets_tests.publishing.warehouse.published_files import CONTRACT, Sample, query

#: subset, row, image_index
Position = tuple[str, int, int]
PairRow = tuple[str, int, int, str, int, int, float, bool, str | None]
Verdicts = dict[tuple[str, str], bool | None]


def add_verdicts(lake: Lake, subset: str, verified: Verdicts, schema: pa.Schema = VERIFIED_SCHEMA) -> None:
    """Write the verdicts of the pairs of a subset, with a confidence of 1, 0 or 0.5."""
    rows = [
        {
            "image_id_a": a,
            "image_id_b": b,
            "similarity": 0.8,
            "verified": found,
            "confidence": 0.5 if found is None else float(found),
            "evidence": "aligned" if found else "unconfirmed",
        }
        for (a, b), found in verified.items()
    ]
    write = lake.write("verified_duplicates", subset, code_version="1", model_id=SOME.model_id)
    with write.add("pairs") as unit:
        unit.table("pairs", pa.Table.from_pylist(rows, schema), schema)
    write.commit()


def slow_pair_positions(corpus: dict[str, Contents], between: dict[tuple[str, str], float]) -> list[PairRow]:
    """Every two positions compared."""
    places: list[tuple[Position, str]] = sorted(
        ((subset, row, index), str(name))
        for subset, contents in corpus.items()
        for row, index, name, status in contents.places
        if status == "ok"
    )
    near = dict(between)
    for contents in corpus.values():
        near.update(contents.pairs)
    found: list[PairRow] = []
    for (one, id_one), (other, id_other) in itertools.combinations(places, 2):
        pair = (min(id_one, id_other), max(id_one, id_other))
        if id_one == id_other:
            found.append((*one, *other, 1.0, True, "confirmed"))
        elif pair in near:
            found.append((*one, *other, near[pair], False, None))
    return sorted(found, key=repr)


def published_pair_positions(path: Path) -> list[PairRow]:
    columns = CONTRACT["close_pair_positions"].replace(" ", ", ")
    rows: list[Any] = query(path, f"SELECT {columns} FROM close_pair_positions")
    return sorted(rows, key=repr)


class TestPairs:
    def test_a_pair_in_two_subsets_is_one_row(self, sample: Sample) -> None:
        columns = CONTRACT["close_pairs"].replace(" ", ", ")
        rows = query(sample.path, f"SELECT {columns} FROM close_pairs ORDER BY ALL")
        model = SOME.model_id
        assert [(*row[:2], round(row[2], 6), *row[3:]) for row in rows] == [
            (A, B, 0.9, model, None, None),
            (B, C, 0.8, model, None, None),
        ]

    def test_positions_of_pairs_are_listed_once_in_order(self, sample: Sample) -> None:
        listed = [row[:6] for row in published_pair_positions(sample.path)]
        assert all(row[:3] < row[3:] for row in listed)
        assert len(listed) == len(set(listed))
        assert ("some", 0, 0, "some", 2, 0) in listed
        assert ("other+(x)", 0, 0, "some", 0, 0) in listed
        # The same bytes, but they are no image.
        assert ("some", 2, 1, "some", 3, 0) not in listed

    def test_only_confirmed_pairs_are_duplicates(self, lake: Lake, path: Path) -> None:
        add_verdicts(lake, "other+(x)", {(A, B): False, (B, C): True})
        publish(lake, path)
        verdicts = query(path, "SELECT DISTINCT verdict::VARCHAR FROM close_pairs ORDER BY ALL")
        assert verdicts == [("confirmed",), ("rejected",)]
        near = query(path, "SELECT subset_a, row_a, subset_b, row_b FROM duplicates WHERE NOT exact ORDER BY ALL")
        assert near == [("other+(x)", 0, "other+(x)", 5), ("other+(x)", 5, "some", 0)]
        assert query(path, "SELECT count(*) FROM duplicates WHERE exact") == [(4,)]

    def test_an_undecided_pair_is_neither_rejected_nor_new(self, lake: Lake, path: Path) -> None:
        # A and C are not close: only a confirmed pair is listed then.
        add_verdicts(lake, "other+(x)", {(A, B): None, (B, C): False, (A, C): None})
        assert publish(lake, path).differences == []
        listed = query(path, "SELECT image_id_a, image_id_b, verdict, confidence FROM close_pairs ORDER BY ALL")
        assert listed == [(A, B, "undecided", 0.5), (B, C, "rejected", 0)]

    def test_of_two_verdicts_the_first_counts_with_its_columns(self, lake: Lake, path: Path) -> None:
        add_verdicts(lake, "other+(x)", {(A, B): None, (B, C): False})
        add_verdicts(lake, "some", {(A, B): True, (B, C): None})
        assert publish(lake, path).differences == []
        listed = query(path, "SELECT verdict, confidence, evidence FROM close_pairs ORDER BY ALL")
        assert listed == [("confirmed", 1, "aligned"), ("rejected", 0, "unconfirmed")]

    def test_verdicts_of_older_versions_have_no_confidence(self, lake: Lake, path: Path) -> None:
        older = VERIFIED_SCHEMA.remove(VERIFIED_SCHEMA.get_field_index("confidence"))
        add_verdicts(lake, "other+(x)", {(A, B): True, (B, C): False}, older)
        assert publish(lake, path).differences == []
        listed = query(path, "SELECT verdict, confidence FROM close_pairs ORDER BY ALL")
        assert listed == [("confirmed", None), ("rejected", None)]

    def test_a_pair_that_two_models_found_is_listed_once(self, tmp_path: Path, path: Path) -> None:
        lake = Lake(tmp_path / "lake")
        places: list[Place] = [(0, 0, A, "ok"), (0, 1, B, "ok")]
        Contents(places, {(A, B): 0.9}, model_id="one").write(lake, "some")
        Contents(places, {(A, B): 0.8}, model_id="two").write(lake, "other")
        publish(lake, path)
        assert query(path, "SELECT model_id FROM close_pairs ORDER BY 1") == [("one",), ("two",)]
        listed = [row[:6] for row in published_pair_positions(path)]
        assert len(listed) == len(set(listed)) == 6


NUMBER_PAIRS = st.sets(st.sampled_from(list(itertools.combinations(range(5), 2))))


def named_pairs(pairs: set[tuple[int, int]], readable: set[int]) -> dict[tuple[str, str], float]:
    """Those of readable images; a similarity depends on the two images alone."""
    return {(image_id(a), image_id(b)): 0.75 + (5 * a + b) / 128 for a, b in pairs if {a, b} <= readable}


@st.composite
def corpora(draw: st.DrawFn) -> tuple[dict[str, Contents], dict[tuple[str, str], float]]:
    """Subsets with pairs within them, and pairs between them."""
    statuses = dict.fromkeys(range(5), "ok") | {5: "corrupt", None: "empty"}
    corpus = {}
    anywhere: set[int] = set()
    for subset in draw(st.lists(st.sampled_from(["a", "B", "b", "é", "a+(x)", "\U0001f986"]), unique=True, max_size=3)):
        where = draw(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 2)), unique=True, max_size=8))
        numbers = [draw(st.sampled_from(list(statuses))) for _ in where]
        places: list[Place] = [
            (*place, None if number is None else image_id(number), statuses[number])
            for place, number in zip(sorted(where), numbers, strict=True)
        ]
        readable = {number for number in numbers if number is not None and statuses[number] == "ok"}
        anywhere |= readable
        corpus[subset] = Contents(
            places, named_pairs(draw(NUMBER_PAIRS), readable), stages=("subset_images", "near_duplicates")
        )
    return corpus, named_pairs(draw(NUMBER_PAIRS), anywhere)


@pytest.mark.nightly
@settings(deadline=None, max_examples=20)
@given(corpora())
def test_pair_positions_equal_those_of_a_brute_force_search(
    drawn: tuple[dict[str, Contents], dict[tuple[str, str], float]],
) -> None:
    corpus, between = drawn
    with tempfile.TemporaryDirectory() as folder:
        lake, path = Lake(Path(folder) / "lake"), Path(folder) / "visdiv.duckdb"
        for subset, contents in corpus.items():
            contents.write(lake, subset)
        write = lake.write("cross_subset_duplicates", "all", code_version="1", model_id=SOME.model_id)
        with write.add("some | other") as unit:
            unit.table("pairs", as_pairs(between), PAIRS_SCHEMA)
        write.commit()
        published = publish(lake, path)
        assert published.differences == []
        assert published_pair_positions(path) == slow_pair_positions(corpus, between)
        pairs = {*between, *(pair for contents in corpus.values() for pair in contents.pairs)}
        assert query(path, "SELECT image_id_a, image_id_b FROM close_pairs") == sorted(pairs)
        assert published.rows["images"] == sum(len(contents.places) for contents in corpus.values())
