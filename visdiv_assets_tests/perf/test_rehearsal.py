"""A rehearsal of a few hundred images with all stages in this process, and the check of their results."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from visdiv_assets.errors import VisdivError
from visdiv_assets.perf import measuring
from visdiv_assets.perf.disk_room import require_room
from visdiv_assets.perf.measuring import Run
from visdiv_assets.perf.rehearsal import stages
from visdiv_assets.perf.rehearsal.checking import check
from visdiv_assets.perf.rehearsal.dagster_runs import materialize
from visdiv_assets.perf.rehearsal.plan import Plan, SetPlan
from visdiv_assets.perf.rehearsal.rehearse import Rehearsal, read_rehearsal, rehearse
from visdiv_assets.perf.rehearsal.shape import Shape
from visdiv_assets.perf.rehearsal.stages import STAGES
from visdiv_assets.publishing.warehouse.examples import load_examples
from visdiv_assets.settings import Settings, load_settings
from visdiv_assets.storage.lake import Lake
from visdiv_assets_tests.conftest import clean_environment

#: Each takes many seconds.
pytestmark = pytest.mark.nightly

PLAN = Plan(
    subsets=(
        SetPlan("charts", 500, 500, 500),
        SetPlan("several+images(a row)", 80, 320, 320),
        SetPlan("some without", 500, 250, 250),
        SetPlan("photographs", 400, 400, 400),
        SetPlan("tiny", 5, 5, 5),
        SetPlan("text-only", 50, 0, 0),
    ),
    benchmarks=(SetPlan("once", 60, 60, 60), SetPlan("often", 200, 200, 40), SetPlan("small", 8, 8, 8)),
)
IMAGES = 1475
DIMENSION = 128
CHECKED = (
    "near_duplicates",
    "cross_subset_duplicates",
    "contamination",
    "duplicate_clusters",
    "curated_rows",
    "warehouse",
)


def settings_in(folder: Path) -> Settings:
    return load_settings(
        {
            "VISDIV_SOURCE": str(folder / "source"),
            "VISDIV_DATA": str(folder / "data"),
            "VISDIV_COPIES_BY": "similarity",
        }
    )


@pytest.fixture(scope="module")
def rehearsed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Rehearsal, list[str]]:
    folder = tmp_path_factory.mktemp("rehearsal")
    real = np.random.default_rng(0).standard_normal((400, DIMENSION)).astype(np.float32)
    real /= np.linalg.norm(real, axis=1, keepdims=True)

    def here(prepare: Callable[..., Callable[[], Any]], *arguments: Any) -> Run:
        return measuring.measure_here(prepare, arguments)

    told: list[str] = []
    with pytest.MonkeyPatch.context() as patch, clean_environment():
        patch.setattr(stages, "measure_in_subprocess", here)
        result = rehearse(PLAN, Shape.of(real), folder, materialize, say=told.append)
    return folder, result, told


def test_every_stage_finds_all_that_was_planted(rehearsed: tuple[Path, Rehearsal, list[str]]) -> None:
    _, result, told = rehearsed
    assert [outcome.stage for outcome in result.outcomes] == [stage.name for stage in STAGES]
    found = {
        stage.asset: outcome for stage, outcome in zip(STAGES, result.outcomes, strict=True) if not stage.after_change
    }
    assert {asset for asset, outcome in found.items() if outcome.planted is not None} == set(CHECKED)
    for asset in CHECKED:
        outcome = found[asset]
        assert outcome.planted is not None
        assert outcome.planted >= 5, f"{asset} is hardly checked"
        assert outcome.found == outcome.planted, asset
    assert result.missing() == []
    assert all(outcome.images == PLAN.images == IMAGES for outcome in result.outcomes)
    assert all(outcome.seconds > 0 and outcome.disk_mb > 0 and outcome.files > 0 for outcome in result.outcomes)
    assert len(told) == 1 + len(STAGES)


def test_a_changed_subset_is_replaced_in_a_copy(rehearsed: tuple[Path, Rehearsal, list[str]]) -> None:
    folder, _, _ = rehearsed
    before, after = Lake(settings_in(folder).lake_root), Lake(folder / "changed" / "lake")
    for table in ("subset_images", "sscd_embeddings", "near_duplicates"):
        digests = [
            {name: lake.require(table, name).digest for name in lake.partitions(table)} for lake in (before, after)
        ]
        assert {name for name in digests[0] if digests[0][name] != digests[1][name]} == {"several+images(a row)"}
    inputs = [lake.require("cross_subset_duplicates", "all").inputs for lake in (before, after)]
    assert inputs[0] != inputs[1]


def test_the_sql_examples_are_timed(rehearsed: tuple[Path, Rehearsal, list[str]]) -> None:
    _, result, _ = rehearsed
    assert len(result.answers) == len(load_examples())
    assert all(answered.question.endswith("?") and 0 < answered.seconds < 10 for answered in result.answers)


def test_the_lake_is_what_the_plan_says(rehearsed: tuple[Path, Rehearsal, list[str]]) -> None:
    folder, _, _ = rehearsed
    lake = Lake(settings_in(folder).lake_root)
    for table, plans in (("subset_images", PLAN.subsets), ("benchmark_images", PLAN.benchmarks)):
        assert lake.partitions(table) == sorted(plan.name for plan in plans)
        for plan in plans:
            facts = lake.require(table, plan.name).facts
            assert (facts["rows"], facts["images"]) == (plan.rows, plan.images)
            assert facts["images_unique"] <= plan.images
    several = lake.read(lake.require("subset_images", "several+images(a row)"), columns=["row", "image_index"])
    assert several["image_index"].to_pylist() == [0, 1, 2, 3] * 80
    vectors = lake.array(lake.require("sscd_embeddings", "charts"), "vectors")[:].astype(np.float64)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=2e-3)


def test_planted_similarities_are_those_of_the_stored_vectors(rehearsed: tuple[Path, Rehearsal, list[str]]) -> None:
    folder, _, _ = rehearsed
    lake, planted = Lake(settings_in(folder).lake_root), pq.read_table(folder / "planted.parquet")
    kinds = {(row["place"], row["kind"]) for row in planted.select(["place", "kind"]).to_pylist()}
    assert kinds == {(place, kind) for place in ("within", "across", "benchmark") for kind in ("near", "exact")}
    vectors: dict[str, np.ndarray] = {}
    for table in ("sscd_embeddings", "benchmark_embeddings"):
        for name in lake.partitions(table):
            manifest = lake.require(table, name)
            ids = lake.read(manifest, "ids")["image_id"].to_pylist()
            vectors |= zip(ids, lake.array(manifest, "vectors")[:].astype(np.float64), strict=True)
    for row in planted.to_pylist():
        if row["kind"] == "near":
            similarity = vectors[row["image_id_a"]] @ vectors[row["image_id_b"]]
            assert row["similarity"] == pytest.approx(min(similarity, 1), abs=1e-6)
            assert similarity >= 0.75
        else:
            assert row["image_id_a"] == row["image_id_b"]


def rewrite(lake: Lake, table: str, partition: str, changed: dict[str, Callable[[pa.Table], pa.Table]]) -> None:
    """Write a partition again with some of its roles changed."""
    manifest = lake.require(table, partition)
    tables = {role: lake.read(manifest, role) for unit in manifest.units for role in unit.files}
    write = lake.write(table, partition, code_version="changed", model_id=manifest.model_id)
    with write.add("all") as unit:
        for role, rows in tables.items():
            kept = changed[role](rows) if role in changed else rows
            unit.table(role, kept, kept.schema)
    write.commit(**manifest.facts)


def without(column: str, value: str) -> Callable[[pa.Table], pa.Table]:
    return lambda rows: rows.filter(pc.not_equal(rows[column], value))


@pytest.mark.parametrize("asset", CHECKED)
def test_a_planted_pair_that_a_stage_lost_is_missed(
    asset: str, rehearsed: tuple[Path, Rehearsal, list[str]], tmp_path: Path
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(rehearsed[0], folder)
    settings, planted = settings_in(folder), pq.read_table(folder / "planted.parquet")
    lake = Lake(settings.lake_root)
    place = {"near_duplicates": "within", "contamination": "benchmark", "curated_rows": "benchmark"}.get(
        asset, "across"
    )
    lost = next(
        row
        for row in planted.to_pylist()
        if row["place"] == place and row["kind"] == "near" and (row["similarity"] >= 0.95 or asset == "near_duplicates")
    )
    if asset == "near_duplicates":
        rewrite(lake, asset, lost["set_a"], {"pairs": without("image_id_a", lost["image_id_a"])})
    elif asset == "contamination":
        rewrite(lake, asset, lost["set_a"], {"pairs": without("image_id", lost["image_id_a"])})
    elif asset == "cross_subset_duplicates":
        rewrite(lake, asset, "all", {"pairs": without("image_id_a", lost["image_id_a"])})
    elif asset == "duplicate_clusters":
        rewrite(lake, asset, "all", {"positions": without("image_id", lost["image_id_a"])})
    elif asset == "curated_rows":
        rewrite(lake, asset, "all", {"dropped": without("witness", lost["set_b"])})
    else:
        with duckdb.connect(settings.warehouse_path) as connection:
            connection.execute("DELETE FROM close_pairs WHERE image_id_a = ?", [lost["image_id_a"]])
    before, after = check(asset, settings_in(rehearsed[0]), planted), check(asset, settings, planted)
    assert before is not None
    assert after is not None
    assert after.planted == before.planted == before.found
    assert after.found < after.planted
    if asset != "curated_rows":
        assert after.found == after.planted - 1


def test_uncounted_exact_copies_across_subsets_are_missed(
    rehearsed: tuple[Path, Rehearsal, list[str]], tmp_path: Path
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(rehearsed[0], folder)
    settings, planted = settings_in(folder), pq.read_table(folder / "planted.parquet")
    exact = planted.filter(pc.and_(pc.equal(planted["place"], "across"), pc.equal(planted["kind"], "exact")))

    def none_shared(overlap: pa.Table) -> pa.Table:
        column = overlap.schema.get_field_index("images_shared_exactly")
        return overlap.set_column(column, "images_shared_exactly", pa.array(np.zeros(overlap.num_rows, np.int64)))

    rewrite(Lake(settings.lake_root), "cross_subset_duplicates", "all", {"overlap": none_shared})
    found = check("cross_subset_duplicates", settings, planted)
    assert found is not None
    assert exact.num_rows > 0
    assert found.found == found.planted - exact.num_rows


def test_figures_are_read_back_as_they_were_written(
    rehearsed: tuple[Path, Rehearsal, list[str]], tmp_path: Path
) -> None:
    import json

    _, result, _ = rehearsed
    file = tmp_path / "rehearsal.json"
    file.write_text(json.dumps({"rehearsal": result.row()}))
    assert read_rehearsal(file) == result
    file.write_text(json.dumps({"figures": []}))
    with pytest.raises(VisdivError, match=r"rehearsal\.json was not written by `visdiv perf --rehearse"):
        read_rehearsal(file)


def test_a_rehearsal_that_does_not_fit_is_not_begun(tmp_path: Path) -> None:
    require_room(tmp_path, 1_000, 5_000_000, reserve_gigabytes=0)
    with pytest.raises(VisdivError, match=r"needs 5,\d{3} GB in .* are free beyond the reserve"):
        require_room(tmp_path, 10**9, 5 * 10**12, reserve_gigabytes=0)
