"""Tables of the sample against its files: images, rows, diversity and ratings."""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import Any

import numpy as np
import pytest

from visdiv_assets.sources import CRITERIA
from visdiv_assets_tests.orchestration.assets.sample_runs import SUBSETS, SampleRun


@pytest.mark.nightly
def test_the_warehouse_lists_exactly_the_unreadable_images(
    sample_run: SampleRun, truth: dict[str, list[dict[str, Any]]]
) -> None:
    special = {(row["subset"], row["row"]): row["readable"] for row in truth["special_rows"]}
    listed = sample_run.query("SELECT subset, row, status, detail FROM images")
    assert {(subset, row) for subset, row, status, _ in listed if status != "ok"} == {
        position for position, readable in special.items() if not readable
    }
    assert len({status for _, _, status, _ in listed} - {"ok"}) == 4
    assert all((detail == "") == (status == "ok") for _, _, status, detail in listed)
    read = {(subset, row) for subset, row, status, _ in listed if status == "ok"}
    assert {position for position, readable in special.items() if readable} <= read


@pytest.mark.nightly
def test_the_warehouse_holds_every_position_with_its_image_id(
    sample_run: SampleRun, source_rows: dict[str, list[dict[str, Any]]]
) -> None:
    expected = [
        (subset, row, index, hashlib.sha256(entry["bytes"]).hexdigest()[:32], len(entry["bytes"]))
        for subset, rows in source_rows.items()
        for row, content in enumerate(rows)
        for index, entry in enumerate(content["images"])
    ]
    found = sample_run.query("SELECT subset, row, image_index, image_id, size_bytes FROM images ORDER BY ALL")
    assert found == sorted(expected)


@pytest.mark.nightly
def test_subsets_count_what_the_source_holds(
    sample_run: SampleRun, source_rows: dict[str, list[dict[str, Any]]], truth: dict[str, list[dict[str, Any]]]
) -> None:
    unreadable = {(row["subset"], row["row"]) for row in truth["special_rows"] if not row["readable"]}
    expected = []
    for subset, rows in source_rows.items():
        readable = {
            entry["bytes"]
            for row, content in enumerate(rows)
            for entry in content["images"]
            if (subset, row) not in unreadable
        }
        kept = sum(bool(row["texts"]) for row in rows)
        images = sum(len(row["images"]) for row in rows)
        expected.append((subset, len(rows), kept, images, len(readable), 4 if subset == "clipart_things" else 0))
    columns = 'subset, "rows", rows_passing_quality, images, images_unique, images_unreadable'
    assert sample_run.query(f"SELECT {columns} FROM subsets ORDER BY subset") == expected
    assert sample_run.query("SELECT DISTINCT model_id, category FROM subsets") == [
        ("sscd_disc_mixup_int8@86386042eb85/skew_320", None)
    ]


@pytest.mark.nightly
@pytest.mark.parametrize("scope", ["subset", "subset_unique"])
@pytest.mark.parametrize("subset", SUBSETS)
def test_diversity_equals_scores_computed_with_numpy(sample_run: SampleRun, subset: str, scope: str) -> None:
    ids, vectors = sample_run.vectors(subset)
    occurrences = Counter(
        name for (name,) in sample_run.query(f"SELECT image_id FROM images WHERE subset = '{subset}' AND status = 'ok'")
    )
    times = [occurrences[name] if scope == "subset" else 1 for name in ids]
    x = np.repeat(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), times, axis=0)
    gram = x @ x.T / len(x)
    for centered, matrix in ((True, np.cov(x, rowvar=False)), (False, x.T @ x / len(x))):
        rank, ratio = effective_rank(matrix), np.trace(matrix) ** 2 / (matrix**2).sum()
        ((images, *values),) = sample_run.query(
            "SELECT images, effective_rank, participation_ratio, vendi, score, mean_norm FROM diversity "
            f"WHERE subset = '{subset}' AND scope = '{scope}' AND centered = {centered}"
        )
        assert images == len(x)
        expected = [rank, ratio, effective_rank(gram), np.sqrt(rank * ratio) / 512, np.linalg.norm(x.mean(axis=0))]
        assert values == pytest.approx(expected, rel=1e-9)


def effective_rank(matrix: np.ndarray) -> float:
    values = np.linalg.eigvalsh(matrix)
    shares = values[values > 1e-14] / values.sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))


@pytest.mark.nightly
@pytest.mark.parametrize("subset", SUBSETS)
def test_the_histogram_of_ratings_equals_a_count_over_the_files(
    sample_run: SampleRun, source_rows: dict[str, list[dict[str, Any]]], subset: str
) -> None:
    expected: Counter[tuple[str, int | None]] = Counter()
    for row in source_rows[subset]:
        for criterion in CRITERIA:
            ratings = row[f"{criterion}_ratings"] or []
            for turn in range(len(row["texts"])):
                expected[criterion, ratings[turn] if turn < len(ratings) else None] += 1
    rows = sample_run.query(f"SELECT criterion, rating, turns FROM quality WHERE subset = '{subset}'")
    assert {(criterion, rating): turns for criterion, rating, turns in rows} == expected
    assert len(rows) == len(expected)
