"""Estimates from hand-made rates."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NoReturn

import pyarrow as pa
import pytest

from visdiv_assets.corpus.tables import PartitionKind
from visdiv_assets.orchestration.plan.estimate import CORPUS_BYTES, Estimate, Line, estimate
from visdiv_assets.orchestration.plan.measured import OCR_IMAGES, Measured
from visdiv_assets.orchestration.plan.recorded import Recorded
from visdiv_assets.orchestration.plan.steps import Step
from visdiv_assets.orchestration.plan.what_runs import NEW, UNCHANGED, Part, Plan
from visdiv_assets.sources import Kind
from visdiv_assets.storage.lake import Lake

#: Typed so that it stands for a number in a record.
approx: Any = pytest.approx

SUBSET, CORPUS = PartitionKind.SUBSET, PartitionKind.CORPUS

IMAGES = Step("subset_images", SUBSET, {"subset_images": "1"}, frozenset())
PAIRS = Step("near_duplicates", SUBSET, {"near_duplicates": "1"}, frozenset({"subset_images"}))
LEAKS = Step("contamination", SUBSET, {"contamination": "1"}, frozenset({"subset_images"}))
VERIFIED = Step("verified_duplicates", SUBSET, {"verified_duplicates": "1"}, frozenset({"near_duplicates"}))
DIVERSITY = Step("subset_diversity", SUBSET, {"subset_diversity": "1"}, frozenset({"subset_images"}))
TEXTS = Step("image_texts", SUBSET, {"image_texts": "1"}, frozenset({"subset_images"}), sample=200)
ACROSS = Step("cross_subset_duplicates", CORPUS, {"cross_subset_duplicates": "1"}, frozenset({"near_duplicates"}))

RATES = Measured(
    images=24, pass_seconds=0.05, pass_bytes=10_000, verify_seconds=0.01, join_seconds=1e-9, ocr_seconds=2.0
)


def plan_of(steps: list[Step], old: dict[str, int], new: dict[str, int], benchmarks: int = 0) -> Plan:
    """Plan a run of new subsets, beside old ones that are up to date."""
    subset_steps = frozenset(step.name for step in steps if step.kind is SUBSET)
    parts = [
        *(Part(Kind.SUBSET, name, UNCHANGED, images, 0, frozenset()) for name, images in old.items()),
        *(Part(Kind.SUBSET, name, NEW, images, 0, subset_steps) for name, images in new.items()),
    ]
    corpus = frozenset(step.name for step in steps if step.kind is CORPUS)
    images = {SUBSET: {**old, **new}, PartitionKind.BENCHMARK: {"bench": benchmarks}}
    return Plan(steps, parts, corpus, images)


def not_measured() -> NoReturn:
    pytest.fail("rates were measured although they are recorded")


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path)


def estimated(plan: Plan, recorded: dict[str, dict[str, float]], lake: Lake, peak: int = 10**9) -> Estimate:
    return estimate(plan, Recorded(recorded, peak), lambda: RATES, lake)


def test_work_on_images_takes_the_recorded_time_per_image(lake: Lake) -> None:
    plan = plan_of([IMAGES], {"old": 1000, "older": 3000}, {"new": 2000})
    found = estimated(plan, {"subset_images": {"old": 60.0, "older": 140.0, "gone": 9.0}}, lake)
    assert found.lines == [Line("pass over the source", 1, 2000, 100.0, "measured in this lake")]
    assert found.seconds == 100.0
    assert found.is_complete


def test_text_is_read_in_a_sample_of_the_images(lake: Lake) -> None:
    plan = plan_of([TEXTS], {"old": 1000}, {"new": 3001, "small": 50})
    (line,) = estimated(plan, {"image_texts": {"old": 100.0}}, lake).lines
    assert line == Line("text in images", 2, 250, approx(125.0), "measured in this lake")
    (line,) = estimated(plan, {}, lake).lines
    assert line == Line("text in images", 2, 250, approx(500.0), f"measured now on {OCR_IMAGES} images")


def test_text_takes_the_time_of_the_images_that_were_read(lake: Lake) -> None:
    lake.write("image_texts", "old", code_version="1", inputs={}).commit(images_read=50)
    plan = plan_of([TEXTS], {"old": 1000}, {"new": 100})
    (line,) = estimated(plan, {"image_texts": {"old": 100.0}}, lake).lines
    assert line == Line("text in images", 1, 100, approx(200.0), "measured in this lake")


def test_work_far_above_the_recorded_is_extrapolated(lake: Lake) -> None:
    plan = plan_of([IMAGES], {"old": 1000}, {"new": 3001})
    (line,) = estimated(plan, {"subset_images": {"old": 50.0}}, lake).lines
    assert line == Line("pass over the source", 1, 3001, approx(150.05), "measured in this lake, extrapolated")


def test_a_large_join_takes_the_recorded_time_per_pair(lake: Lake) -> None:
    plan = plan_of([PAIRS], {"old": 100_000}, {"new": 150_000})
    (line,) = estimated(plan, {"near_duplicates": {"old": 40.0}}, lake).lines
    assert line == Line("joins", 1, 150_000, approx(90.0), "measured in this lake")


def test_a_small_join_says_nothing_about_a_large_one(lake: Lake) -> None:
    plan = plan_of([PAIRS], {"old": 300}, {"same": 300, "new": 100_000})
    (line,) = estimated(plan, {"near_duplicates": {"old": 0.5}}, lake).lines
    assert line.seconds == approx(0.5 + 0.5 + 5.0)
    assert line.basis == "measured in this lake; measured in this lake; measured now, extrapolated"


def test_contamination_compares_with_all_benchmark_images(lake: Lake) -> None:
    plan = plan_of([LEAKS], {}, {"new": 100_000}, benchmarks=300_000)
    (line,) = estimated(plan, {}, lake).lines
    assert line == Line("joins", 1, 100_000, approx(30.0), "measured now, extrapolated")


def test_a_join_across_subsets_counts_the_whole_corpus(lake: Lake) -> None:
    plan = plan_of([ACROSS], {"old": 100_000}, {"new": 100_000})
    (line,) = estimated(plan, {}, lake).lines
    assert line == Line("joins", 1, 200_000, approx(20.0), "measured now, extrapolated")


def test_without_records_rates_are_measured_and_gaps_are_named(lake: Lake) -> None:
    plan = plan_of([IMAGES, PAIRS, VERIFIED, DIVERSITY], {}, {"a": 600, "b": 400})
    found = estimated(plan, {}, lake)
    assert [(line.group, line.seconds, line.basis) for line in found.lines] == [
        ("pass over the source", approx(50.0), "measured now on 24 images"),
        ("joins", approx(0.00026), "measured now, extrapolated"),
        ("verification", approx(10.0), "measured now, for 1 candidate pair per image"),
        ("findings", None, "nothing recorded yet"),
    ]
    assert not found.is_complete
    assert found.disk_bytes == approx(10_000 * 1000)
    assert found.disk_basis == "measured now on 24 images, without findings"


def test_without_a_readable_image_the_pass_is_unknown(lake: Lake) -> None:
    plan = plan_of([IMAGES], {}, {"new": 1000})
    found = estimate(plan, Recorded({}, 1), lambda: Measured(0, 0.0, 0.0, 0.0, 1e-9), lake)
    assert found.lines == [Line("pass over the source", 1, 1000, None, "no image could be measured")]


def test_the_recorded_peak_grows_with_new_images(lake: Lake) -> None:
    records = {"subset_images": {"old": 10.0}}
    some = estimated(plan_of([IMAGES], {"old": 1000}, {"new": 1000}), records, lake)
    assert (some.peak_bytes, some.peak_basis) == (10**9 + 1000 * CORPUS_BYTES, "measured in this lake, extrapolated")
    none = estimated(plan_of([IMAGES], {"old": 1000}, {}), records, lake)
    assert (none.peak_bytes, none.peak_basis) == (10**9, "measured in this lake")


def test_disk_space_is_that_of_the_stored_tables(lake: Lake) -> None:
    write = lake.write("subset_images", "old", code_version="1")
    rows = pa.table({"row": pa.array(range(1000))})
    with write.add("rows") as unit:
        unit.table("rows", rows, rows.schema)
    size = write.commit().files("rows")[0].size_bytes
    plan = plan_of([IMAGES], {"old": 1000}, {"new": 3000})
    found = estimate(plan, Recorded({"subset_images": {"old": 1.0}}, 1), not_measured, lake)
    assert (found.disk_bytes, found.disk_basis) == (approx(3 * size), "measured in this lake")
