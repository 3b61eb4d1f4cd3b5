"""The plan of a rehearsal, the growth of its cost, and its report."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from visdiv_assets.cli.main import main
from visdiv_assets.errors import VisdivError
from visdiv_assets.orchestration.plan.estimate import PASS, VERIFICATION
from visdiv_assets.perf.images.findings import Candidates, Found, Stored
from visdiv_assets.perf.images.rehearse import ImageRehearsal, from_row
from visdiv_assets.perf.images.running import Ran, StepCost
from visdiv_assets.perf.joins import FINEVISION_IMAGES
from visdiv_assets.perf.rehearsal import cost
from visdiv_assets.perf.rehearsal.growth import exponent, extrapolate, fixed_and_growing
from visdiv_assets.perf.rehearsal.plan import MIN_SUBSET, benchmark_plans, finevision_plan, proportional
from visdiv_assets.perf.rehearsal.questions import Answered
from visdiv_assets.perf.rehearsal.rehearse import Rehearsal
from visdiv_assets.perf.rehearsal.report import at_full_size, hours, report
from visdiv_assets.perf.rehearsal.stages import STAGES, Outcome
from visdiv_assets.sources.catalog import FINEVISION, finevision_categories, published

SIZES = (1_000, 4_000, 16_000)
WITH_IMAGES = ImageRehearsal(
    images=800,
    benchmark_images=200,
    source_bytes=10**8,
    cores=2,
    model_ms=24.0,
    ran=Ran(
        [StepCost("subset_pass", PASS, 20.0, 30.0), StepCost("verified_duplicates", VERIFICATION, 50.0, 80.0)],
        70.0,
        900.0,
    ),
    candidates=[Candidates("within", "photo", 600, 200, 20, 170), Candidates("across", "chart", 200, 1400, 10, 1390)],
    found=[Found("within", "photo", 6, 6, 5)],
    stored=[Stored("subset_thumbnails", 8 * 10**6, 40), Stored("sscd_embeddings", 10**6, 60)],
)


@pytest.mark.parametrize("images", [1_000, 200_000, 17_372_239])
def test_a_plan_has_all_subsets_and_adds_up(images: int) -> None:
    plan = finevision_plan(images)
    assert plan.images == images
    assert [subset.name for subset in plan.subsets] == sorted(finevision_categories())
    assert len(plan.subsets) == 185
    for subset in plan.subsets:
        figure = published(subset.name, FINEVISION)
        assert figure is not None
        assert subset.rows >= 1
        assert (subset.images >= MIN_SUBSET) if figure.images else (subset.images == 0)
    assert len(plan.benchmarks) == 66
    assert all(0 < benchmark.images <= benchmark.images for benchmark in plan.benchmarks)


def test_a_plan_of_the_size_of_finevision_is_about_finevision() -> None:
    plan = finevision_plan(17_372_239)
    for subset in plan.subsets:
        figure = published(subset.name, FINEVISION)
        assert figure is not None
        assert subset.images == pytest.approx(figure.images, rel=1e-4, abs=MIN_SUBSET)
        assert subset.rows == pytest.approx(figure.samples, rel=0.02, abs=MIN_SUBSET)
    assert benchmark_plans() == plan.benchmarks


def test_too_few_images_are_refused() -> None:
    with pytest.raises(VisdivError, match="rehearse 1,000 or more"):
        finevision_plan(999)


@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=50), st.integers(0, 10**6))
def test_parts_add_up_and_none_is_off_by_one(weights: list[int], beyond: int) -> None:
    total = 2 * len(weights) + beyond
    parts = proportional(total, weights, 2)
    assert sum(parts) == total
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part - 2 - beyond * weight / sum(weights)) < 1 + 1e-6


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0, 2.0])
def test_the_exponent_of_a_power_law_is_its_power(power: float) -> None:
    values = [3.0 * size**power for size in SIZES]
    assert exponent(SIZES, values) == pytest.approx(power, abs=1e-9)
    assert extrapolate(SIZES, values, 10**6, power) == pytest.approx(3.0 * 10 ** (6 * power))


def test_one_size_and_unknown_values_have_no_exponent() -> None:
    assert exponent([1000], [5.0]) is None
    assert exponent([1000, 1000], [5.0, 6.0]) is None
    assert exponent([1000, 2000], [0.0, 6.0]) is None


def outcomes(power: float) -> list[Outcome]:
    return [
        Outcome(stage.name, size, 1e-3 * size**power, 0.1 * size, 0.01 * size, 7, 10, 10)
        for stage in STAGES
        for size in SIZES
    ]


@pytest.mark.parametrize("power", [1, 2])
def test_fixed_cost_is_separated_from_growing_cost(power: int) -> None:
    values = [300 + 1e-7 * size**power for size in (200_000, 500_000, 1_000_000)]
    fixed, growing = fixed_and_growing((200_000, 500_000, 1_000_000), values, power)
    assert fixed == pytest.approx(300)
    assert growing == pytest.approx(1e-7)


def test_no_part_of_a_cost_is_negative() -> None:
    assert fixed_and_growing(SIZES, [30.0, 20.0, 10.0], 1)[1] == 0
    assert fixed_and_growing(SIZES, [1e-9 * size**3 for size in SIZES], 1)[0] == 0


def test_time_is_extrapolated_by_the_exponent_and_by_its_parts() -> None:
    squared, linear = STAGES[0], STAGES[1]
    assert (squared.growth, linear.growth) == (2, 1)
    expected = 1e-3 * FINEVISION_IMAGES**1.5 / 3600
    assert hours(squared, outcomes(1.5)[:3])[0] == pytest.approx(expected)
    assert hours(linear, outcomes(1.5)[:3])[0] == pytest.approx(expected)
    assert hours(squared, outcomes(2.0)[:3]) == pytest.approx((1e-3 * FINEVISION_IMAGES**2 / 3600,) * 2)
    assert hours(linear, outcomes(1.0)[:3]) == pytest.approx((1e-3 * FINEVISION_IMAGES / 3600,) * 2)
    assert hours(squared, outcomes(1.0)[:1]) == (None, None)


def test_the_report_of_several_sizes_has_all_tables() -> None:
    answers = [Answered("Which images?", size, 0.25) for size in SIZES]
    text = report(Rehearsal(outcomes(1.0), answers, WITH_IMAGES))
    measured, _, grown = text.split("\n\n")[6:9]
    for stage in STAGES:
        assert sum(line.startswith(f"| {stage.name} ") for line in measured.splitlines()) == len(SIZES)
        assert sum(line.startswith(f"| {stage.name} ") for line in grown.splitlines()) == 1
    assert "| Which images? | 0.25 " in text
    assert f"hours for {FINEVISION_IMAGES:,}" in text
    assert "No GPU was measured" in text
    assert "Not rehearsed" in text


def test_the_report_of_images_has_its_figures() -> None:
    text = report(Rehearsal(with_images=WITH_IMAGES))
    words = " ".join(text.replace("|", " ").split())
    assert "800 images and 200 of benchmarks, 0.10 GB, on 2 cores: 70 s, peak memory 900 MB." in words
    assert (
        "30.0 core-ms per image, the SSCD model alone 24.0; 2.00 candidate pairs per image, 50.0 core-ms per" in words
    )
    assert "subset_pass pass over the source 20.0 30.0 30.00" in words
    assert "across chart 200 1,400 7.00 10 1,390 0" in words
    assert "within photo 6 6 5" in words
    assert "total 9.00 9,000 100" in words
    assert "extrapolated" not in words
    assert from_row(json.loads(json.dumps(WITH_IMAGES.row()))) == WITH_IMAGES


def test_the_report_of_one_size_extrapolates_nothing() -> None:
    text = report(Rehearsal([outcome for outcome in outcomes(1.0) if outcome.images == SIZES[0]], [], WITH_IMAGES))
    assert "extrapolated" not in text.lower()
    assert f"{FINEVISION_IMAGES:,}" not in text


def test_missing_pairs_are_reported_by_stage_and_size() -> None:
    lost = Outcome("clusters", 2_000, 1.0, None, 1.0, 1, 12, 11)
    assert Rehearsal([*outcomes(1.0), lost]).missing() == ["clusters of 2,000 images found 11 of 12"]
    assert Rehearsal(outcomes(1.0)).missing() == []


def test_of_two_rehearsals_of_one_size_the_later_counts() -> None:
    first, second = (Rehearsal([Outcome("clusters", 2_000, seconds, None, 1.0, 1, 1, 1)]) for seconds in (1.0, 2.0))
    assert [outcome.seconds for outcome in (first + second).outcomes] == [2.0]


def test_costs_follow_from_the_rates_except_work_in_one_thread() -> None:
    seconds = at_full_size(Rehearsal(outcomes(1.0)))
    lines = {line.stage.split(":")[0]: line for line in cost.costs(WITH_IMAGES, seconds)}
    over_source = lines["pass"].hours
    assert over_source[:2] == pytest.approx([FINEVISION_IMAGES * 0.030 / cores / 3600 for cores in (2, 16)])
    # Decoding is slower than the model.
    assert over_source[2:] == pytest.approx([FINEVISION_IMAGES * 0.006 / cores / 3600 for cores in (16, 128)])
    compared = lines["verification of 2.0 pairs per image, as measured"].hours
    assert compared == pytest.approx([FINEVISION_IMAGES * 2 * 0.050 / cores / 3600 for cores in (2, 16, 16, 128)])
    rest = lines["diversity, clusters, dropped rows, the DuckDB file"]
    assert len(set(rest.hours)) == 1
    linear = [stage.asset for stage in STAGES if stage.growth == 1 and stage.asset != "contamination"]
    assert rest.hours[0] == pytest.approx(sum(seconds[asset] for asset in linear) / 3600)
    assert all("estimated" in lines[name].gpus_from for name in ("pass", _JOINS))
    assert lines[_JOINS].hours[3] == pytest.approx(lines[_JOINS].hours[2] / 8)


_JOINS = "near duplicates, within and across subsets"


def test_the_command_reports_a_file_and_fails_on_missing_pairs(tmp_path: Path) -> None:
    file = tmp_path / "rehearsal.json"
    file.write_text(json.dumps({"rehearsal": Rehearsal(outcomes(1.0), [], WITH_IMAGES).row()}))
    told = CliRunner().invoke(main, ["perf", "--rehearsed", str(file)])
    assert told.exit_code == 0, told.output
    assert "| total " in told.output
    lost = Outcome(STAGES[0].name, 2_000, 1.0, None, 1.0, 1, 12, 11)
    file.write_text(json.dumps({"rehearsal": Rehearsal([lost]).row()}))
    told = CliRunner().invoke(main, ["perf", "--rehearsed", str(file)])
    assert told.exit_code == 1
    assert f"planted pairs are missing: {STAGES[0].name} of 2,000 images found 11 of 12" in told.output


@pytest.mark.parametrize(
    "arguments", [["--rehearse", "2000", "--only", "join"], ["--folder", "x"], ["--rehearse", "9"]]
)
def test_arguments_that_make_no_sense_are_refused(arguments: list[str]) -> None:
    assert CliRunner().invoke(main, ["perf", *arguments]).exit_code == 2
