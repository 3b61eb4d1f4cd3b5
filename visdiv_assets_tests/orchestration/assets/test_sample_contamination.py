"""Benchmark images in the subsets of the sample: pairs and rates against brute force and SQL."""

from __future__ import annotations

from typing import Any

import pytest
from scipy.stats import binomtest

from visdiv_assets.duplicates.thresholds import PUBLISHED_THRESHOLDS
from visdiv_assets_tests.orchestration.assets.sample_runs import BENCHMARK, FLOOR, SUBSETS, Position, Sample, endpoints


@pytest.mark.parametrize("subset", SUBSETS)
def test_contamination_pairs_are_those_of_brute_force(sample: Sample, subset: str) -> None:
    close = sample.close(subset, BENCHMARK, FLOOR)
    first: dict[str, Position] = {}
    for place, name in sorted(sample.positions[BENCHMARK].items()):
        first.setdefault(name, place)
    expected = {
        (place, first[other]): value
        for place, name in sample.positions[subset].items()
        for (image_id, other), value in close.items()
        if image_id == name
    }
    rows = sample.query(
        "SELECT subset, row, image_index, benchmark, benchmark_row, benchmark_image_index, similarity, image_id, "
        "benchmark_image_id, benchmark_positions FROM contamination_pairs "
        f"WHERE subset = '{subset}' AND similarity >= {FLOOR}"
    )
    found = {(row[:3], row[3:6]): row[6] for row in rows}
    assert len(found) == len(rows), "a pair twice"
    assert found.keys() == expected.keys()
    assert found == pytest.approx(expected, abs=1e-6)
    held = list(sample.positions[BENCHMARK].values())
    for row in rows:
        assert row[7] == sample.image_id[row[:3]]
        assert row[8] == sample.image_id[row[3:6]]
        assert row[9] == held.count(row[8])


def test_every_planted_leak_that_reaches_the_floor_is_found(sample: Sample, copies: list[dict[str, Any]]) -> None:
    planted = [endpoints(copy) for copy in copies if copy["kind"] == "leak"]
    assert len(planted) == 36
    reach = {pair for pair in planted if sample.similarity(*pair) >= FLOOR}
    found = {
        ((subset, row, index), (benchmark, benchmark_row, benchmark_image))
        for subset, row, index, benchmark, benchmark_row, benchmark_image in sample.query(
            "SELECT subset, row, image_index, benchmark, benchmark_row, benchmark_image_index FROM contamination_pairs "
            f"WHERE similarity >= {FLOOR}"
        )
    }
    assert len(reach) >= 15
    assert found & set(planted) == reach


def test_rates_equal_counts_of_pairs_in_sql_at_every_threshold(sample: Sample) -> None:
    rows = sample.query(
        """
        SELECT r.subset, r.benchmark, r.threshold, r.images, r.images_contaminated, r."rows", r.rows_contaminated,
            r.benchmark_images, r.benchmark_images_leaked, r.rate, r.ci_low, r.ci_high,
            (SELECT count(*) FROM images i WHERE i.subset = r.subset AND i.status = 'ok'),
            (SELECT s."rows" FROM subsets s WHERE s.subset = r.subset),
            count(DISTINCT (p."row", p.image_index)) FILTER (p."row" IS NOT NULL), count(DISTINCT p."row"),
            coalesce(list(DISTINCT (p.benchmark_image_id, p.benchmark_positions)) FILTER (p."row" IS NOT NULL), [])
        FROM contamination_rates r LEFT JOIN contamination_pairs p
            ON p.subset = r.subset AND r.benchmark IN (p.benchmark, 'ALL') AND p.similarity >= r.threshold::FLOAT
        WHERE r.rule = 'similarity'
        GROUP BY ALL
        """
    )
    keys = {row[:3] for row in rows}
    assert keys == {(s, b, t) for s in SUBSETS for b in (BENCHMARK, "ALL") for t in PUBLISHED_THRESHOLDS}
    assert len(keys) == len(rows)
    for row in rows:
        images, contaminated, of, rows_contaminated, benchmark_images, leaked, rate, low, high = row[3:12]
        positions, subset_rows, positions_hit, rows_hit, hit = row[12:]
        assert (images, contaminated, of, rows_contaminated) == (positions, positions_hit, subset_rows, rows_hit)
        assert benchmark_images == len(sample.positions[BENCHMARK])
        assert leaked == sum(times for _, times in hit)
        assert rate == pytest.approx(contaminated / images)
        interval = binomtest(contaminated, images).proportion_ci(method="wilson")
        assert (low, high) == pytest.approx((interval.low, interval.high), abs=1e-12)
    assert max(row[4] for row in rows) > 5


def test_verified_rates_equal_counts_of_confirmed_pairs_in_sql(sample: Sample) -> None:
    rows = sample.query(
        """
        SELECT r.subset, r.benchmark, r.threshold, r.images_contaminated, r.rows_contaminated, r.rate * r.images,
            count(DISTINCT (p."row", p.image_index)) FILTER (p."row" IS NOT NULL), count(DISTINCT p."row")
        FROM contamination_rates r LEFT JOIN contamination_pairs p
            ON p.subset = r.subset AND r.benchmark IN (p.benchmark, 'ALL') AND p.verdict = 'confirmed'
        WHERE r.rule = 'confirmed'
        GROUP BY ALL
        """
    )
    assert {row[:3] for row in rows} == {(s, b, None) for s in SUBSETS for b in (BENCHMARK, "ALL")}
    for *_, images, of_rows, by_rate, counted, counted_rows in rows:
        assert (images, of_rows) == (counted, counted_rows)
        assert by_rate == pytest.approx(images)
