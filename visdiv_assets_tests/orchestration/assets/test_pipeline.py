"""The assets end to end: the sample through `runs.Session`, and small subsets through the same job."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from PIL import Image

from visdiv_assets.corpus.tables import LakeTable
from visdiv_assets.curation.clean_copy import leave_out_turns, load_decisions
from visdiv_assets.curation.export import export
from visdiv_assets.duplicates.thresholds import NAMED_THRESHOLDS
from visdiv_assets.errors import ConfigError, StaleError
from visdiv_assets.orchestration.code_location import build_definitions
from visdiv_assets.orchestration.runs import Outcome, Session
from visdiv_assets.settings import Settings
from visdiv_assets.sources import CRITERIA
from visdiv_assets.storage.lake import Lake
from visdiv_assets.wiring import cleaning_rules, open_source, quality_filter
from visdiv_assets_tests.conftest import (
    SAMPLE,
    Pipeline,
    Row,
    clean_environment,
    image,
    lake_files,
    made_once,
    near_copy,
    one_each,
    other_model,
    query,
    written_at,
)
from visdiv_assets_tests.testing.small_lakes import COPIES, DECISIONS

SUBSETS = ("clipart_nature", "clipart_people", "clipart_things")
BENCHMARK = "clipart_bench"

#: Subset, row, index of the image in the row.
Position = tuple[str, int, int]


# The sample ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SampleRun:
    """All benchmarks and subsets of the sample, run once in the way of `visdiv run --all`."""

    settings: Settings
    instance: dg.DagsterInstance
    outcomes: tuple[Outcome, ...]

    @property
    def lake(self) -> Lake:
        return Lake(self.settings.lake_root)

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        return query(self.settings, sql)

    def metadata(self, asset: str, subset: str) -> dict[str, Any]:
        wanted = dg.AssetRecordsFilter(asset_key=dg.AssetKey(asset), asset_partitions=[subset])
        (record,) = self.instance.fetch_materializations(wanted, limit=2).records
        assert record.asset_materialization is not None
        return {name: value.value for name, value in record.asset_materialization.metadata.items()}

    def vectors(self, subset: str) -> tuple[list[str], np.ndarray]:
        """Return image_ids and stored vectors as float64."""
        manifest = self.lake.require("sscd_embeddings", subset)
        vectors = self.lake.array(manifest, "vectors")[:].astype(np.float64)
        return self.lake.read(manifest, "ids")["image_id"].to_pylist(), vectors


def sample_settings(data: Path) -> Settings:
    return Settings(source=str(SAMPLE), data=str(data), device="cpu")


def run_sample(data: Path) -> None:
    """Run the sample, in about 20 seconds, and write the outcomes into its data folder."""
    session = Session(sample_settings(data))
    with session.instance:
        outcomes = [asdict(outcome) for outcome in session.run([BENCHMARK], SUBSETS)]
    (data / "outcomes.json").write_text(json.dumps(outcomes), encoding="utf-8")


@pytest.fixture(scope="module")
def sample_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SampleRun]:
    with clean_environment():
        data = made_once(tmp_path_factory, "sample_run", run_sample)
    outcomes = json.loads((data / "outcomes.json").read_text(encoding="utf-8"))
    with dg.DagsterInstance.from_config(str(data / "dagster")) as instance:
        yield SampleRun(sample_settings(data), instance, tuple(Outcome(**outcome) for outcome in outcomes))


@pytest.fixture(scope="module")
def source_rows() -> dict[str, list[dict[str, Any]]]:
    """The rows of the sample's subsets, read with pyarrow only."""
    return {
        subset: [
            row for file in sorted((SAMPLE / "subsets" / subset).iterdir()) for row in pq.read_table(file).to_pylist()
        ]
        for subset in SUBSETS
    }


@pytest.fixture(scope="module")
def truth() -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = json.loads((SAMPLE / "truth.json").read_text(encoding="utf-8"))
    return found


def endpoints(copy: dict[str, Any]) -> frozenset[Position]:
    """The two positions of a planted copy."""
    return frozenset({(copy["src"], copy["src_row"], 0), (copy["dst"], copy["dst_row"], copy["image"])})


def found_pairs(run: SampleRun, kind: str) -> set[frozenset[Position]]:
    rows = run.query(
        "SELECT subset_a, row_a, image_index_a, subset_b, row_b, image_index_b FROM close_pair_positions "
        f"WHERE exact = {kind == 'exact'} AND similarity >= 0.75"
    )
    assert len({frozenset({row[:3], row[3:6]}) for row in rows}) == len(rows)
    return {frozenset({row[:3], row[3:6]}) for row in rows}


@pytest.mark.nightly
def test_all_runs_of_the_sample_succeed(sample_run: SampleRun) -> None:
    assert [outcome.name for outcome in sample_run.outcomes] == [BENCHMARK, *SUBSETS, "all subsets together"]
    assert all(outcome.succeeded for outcome in sample_run.outcomes), sample_run.outcomes
    assert re.fullmatch(r"314 images embedded, \d+\.\d per second", sample_run.outcomes[1].detail)


@pytest.mark.nightly
def test_every_check_of_every_run_passes_and_none_is_left_out(sample_run: SampleRun) -> None:
    instance = sample_run.instance
    definitions = build_definitions(sample_run.settings)
    assets = [asset for asset in definitions.assets or [] if isinstance(asset, dg.AssetsDefinition)]
    declared = {(spec.asset_key, spec.name) for asset in assets for spec in asset.check_specs}
    evaluated = set()
    for run in instance.get_runs():
        of_run = set()
        for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION):
            assert entry.dagster_event is not None
            evaluation = entry.dagster_event.asset_check_evaluation_data
            assert evaluation.passed, (run.tags, evaluation)
            of_run.add((evaluation.asset_key, evaluation.check_name))
        materialized = {
            entry.dagster_event.asset_key
            for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)
            if entry.dagster_event
        }
        assert of_run == {check for check in declared if check[0] in materialized}
        evaluated |= of_run
    assert len(evaluated) >= 10


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
def test_exactly_the_exact_copies_are_found_at_both_positions(
    sample_run: SampleRun, truth: dict[str, list[dict[str, Any]]]
) -> None:
    planted = {endpoints(copy) for copy in truth["copies"] if copy["kind"] == "exact"}
    assert len(planted) == 12
    assert found_pairs(sample_run, "exact") == planted


@pytest.mark.nightly
def test_more_than_half_of_the_near_copies_are_found(
    sample_run: SampleRun, truth: dict[str, list[dict[str, Any]]]
) -> None:
    planted = {endpoints(copy): copy["transform"] for copy in truth["copies"] if copy["kind"] == "near"}
    found = planted.keys() & found_pairs(sample_run, "near")
    by_transform = Counter(planted[pair] for pair in found)
    assert len(planted) == 174
    assert len(found) >= 0.55 * len(planted), by_transform
    assert by_transform.keys() == set(planted.values())


@pytest.mark.nightly
def test_no_near_pair_joins_unrelated_images(sample_run: SampleRun, truth: dict[str, list[dict[str, Any]]]) -> None:
    """Copies of one source are copies of each other. The special rows share a noise image and are ignored."""
    group: dict[Position, Position] = {}

    def representative(position: Position) -> Position:
        while position in group:
            position = group[position]
        return position

    for copy in truth["copies"]:
        first, second = (representative(position) for position in sorted(endpoints(copy)))
        if first != second:
            group[second] = first
    special = {(row["subset"], row["row"]) for row in truth["special_rows"]}
    near = [tuple(sorted(pair)) for pair in found_pairs(sample_run, "near")]
    unrelated = [(a, b) for a, b in near if representative(a) != representative(b)]
    assert [pair for pair in unrelated if not {pair[0][:2], pair[1][:2]} <= special] == []
    assert len(near) - len(unrelated) > 100


@pytest.mark.nightly
@pytest.mark.parametrize("subset", SUBSETS)
def test_pairs_and_neighbor_counts_equal_a_brute_force(sample_run: SampleRun, subset: str) -> None:
    ids, vectors = sample_run.vectors(subset)
    similarity = vectors @ vectors.T
    np.fill_diagonal(similarity, -1)
    expected = {
        (min(ids[a], ids[b]), max(ids[a], ids[b])): min(similarity[a, b], 1)
        for a, b in zip(*np.nonzero(np.triu(similarity >= 0.75)), strict=True)
    }
    manifest = sample_run.lake.require("near_duplicates", subset)
    pairs = sample_run.lake.read(manifest, "pairs")
    stored = dict(
        zip(
            zip(pairs["image_id_a"].to_pylist(), pairs["image_id_b"].to_pylist(), strict=True),
            pairs["similarity"].to_pylist(),
            strict=True,
        )
    )
    assert stored.keys() == expected.keys()
    assert stored == pytest.approx(expected, abs=1e-6)
    for name, threshold in NAMED_THRESHOLDS.items():
        rows = sample_run.query(
            f"SELECT DISTINCT image_id, neighbors_{name} FROM images WHERE subset = '{subset}' AND status = 'ok'"
        )
        assert dict(rows) == dict(zip(ids, (similarity >= threshold).sum(axis=1).tolist(), strict=True))


@pytest.mark.nightly
def test_unreadable_images_have_no_count_of_neighbors(sample_run: SampleRun) -> None:
    columns = ", ".join(f"neighbors_{name}" for name in NAMED_THRESHOLDS)
    assert set(sample_run.query(f"SELECT {columns} FROM images WHERE status <> 'ok'")) == {(None,) * 4}


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


@pytest.mark.nightly
@pytest.mark.parametrize("subset", SUBSETS)
def test_the_contact_sheet_is_a_small_image_inside_the_metadata(sample_run: SampleRun, subset: str) -> None:
    sheet = sample_run.metadata("near_duplicates", subset)["closest_pairs"]
    found = re.fullmatch(r"!\[closest pairs\]\(data:image/jpeg;base64,([A-Za-z0-9+/=]+)\)", sheet)
    assert found
    assert len(sheet) < 100_000
    with Image.open(io.BytesIO(base64.b64decode(found[1], validate=True))) as image:
        image.load()
        assert image.format == "JPEG"
        assert image.width > 300


@pytest.mark.nightly
@pytest.mark.parametrize("subset", SUBSETS)
def test_metadata_say_how_much_was_done_and_how_fast(sample_run: SampleRun, subset: str) -> None:
    ids, _ = sample_run.vectors(subset)
    embeddings = sample_run.metadata("sscd_embeddings", subset)
    assert embeddings["images_embedded"] == len(ids)
    assert embeddings["images_reused"] == embeddings["units_reused"] == 0
    assert embeddings["images_per_second"] == pytest.approx(len(ids) / embeddings["seconds"])
    assert embeddings["model_id"] == "sscd_disc_mixup_int8@86386042eb85/skew_320"
    ((images,),) = sample_run.query(f"SELECT images FROM subsets WHERE subset = '{subset}'")
    assert sample_run.metadata("subset_images", subset)["images"] == images
    assert sum(sample_run.metadata("subset_images", subset)["statuses"].values()) == images


@pytest.mark.nightly
def test_provenance_has_a_row_for_every_partition_of_the_lake(sample_run: SampleRun) -> None:
    rows = sample_run.query("SELECT table_name, partition, source_revision, run_id FROM provenance")
    lake = sample_run.lake
    assert sorted(row[:2] for row in rows) == [
        (table, partition)
        for table in lake.tables()
        for partition in lake.partitions(table)
        if table != LakeTable.PUBLICATIONS
    ]
    assert {row[1] for row in rows} >= set(SUBSETS)
    revisions = dict(sample_run.query("SELECT subset, source_revision FROM subsets"))
    of_stages = [
        row for row in rows if row[0] in {"subset_images", "quality_rows", "sscd_embeddings", "near_duplicates"}
    ]
    assert len(of_stages) == 4 * len(SUBSETS)
    assert {row[1]: row[2] for row in of_stages} == revisions
    runs = {run.run_id for run in sample_run.instance.get_runs()}
    assert {row[3] for row in rows} <= runs


@pytest.mark.nightly
def test_a_second_run_embeds_nothing_and_changes_no_data_file(sample_run: SampleRun, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(sample_run.settings.data, data)
    settings = sample_settings(data)
    root, tables = settings.lake_root, Lake(settings.lake_root).tables()
    before, times = lake_files(root), written_at(root, *tables)
    session = Session(settings)
    with session.instance:
        outcome = next(session.run([], ["clipart_people"]))
    assert outcome.succeeded
    assert outcome.detail == "nothing to embed"
    assert lake_files(root) == before
    assert written_at(root, *tables) == times


#: Enough for questions about images and their vectors.
EMBEDDED = ("subset_images", "sscd_embeddings")
#: Loads faster than SSCD, for questions that do not depend on how images are embedded.
COLOR = other_model("color")


# Small subsets: running again ----------------------------------------------------------------------------------------


def test_a_second_run_finds_every_unit_again(pipeline: Pipeline) -> None:
    pipeline.write("some", one_each(range(3)), one_each([3, 4]))
    first = pipeline.run("some", only=EMBEDDED, sscd=COLOR).metadata("sscd_embeddings")
    assert (first["images_embedded"], first["units_reused"]) == (5, 0)
    ran = pipeline.run("some", only=EMBEDDED, sscd=COLOR)
    assert ran.success
    assert ran.metadata("subset_images")["units_reused"] == 2
    again = ran.metadata("sscd_embeddings")
    assert (again["images_embedded"], again["images_reused"], again["units_reused"]) == (0, 5, 2)
    assert "images_per_second" not in again


def test_a_file_that_was_only_touched_is_not_read_as_new(pipeline: Pipeline) -> None:
    (file,) = pipeline.write("some", one_each(range(3)))
    assert pipeline.run("some", only=EMBEDDED, sscd=COLOR).success
    file.write_bytes(file.read_bytes())
    ran = pipeline.run("some", only=EMBEDDED, sscd=COLOR)
    assert ran.metadata("subset_images")["units_reused"] == 1
    assert ran.metadata("sscd_embeddings")["images_embedded"] == 0


@pytest.mark.nightly
def test_two_independent_runs_give_equal_files_and_equal_tables(pipeline: Pipeline) -> None:
    pipeline.write("some", [*one_each(range(5)), Row([near_copy(0), image(1)])], one_each([7, 8]))
    other = pipeline.elsewhere()
    for each in (pipeline, other):
        assert each.run("some").success
        assert each.publish().success
    files = lake_files(pipeline.settings.lake_root)
    assert len(files) > 20
    assert lake_files(other.settings.lake_root) == files
    tables = [name for (name,) in pipeline.query("SELECT table_name FROM information_schema.tables")]
    assert {"subsets", "images", "close_pairs", "diversity", "provenance"} <= set(tables)
    filled = 0
    # The table meta names the source and the settings, and history the time, which differ.
    for table in sorted({*tables} - {"meta", "history"}):
        columns = pipeline.query(f"SELECT column_name FROM duckdb_columns() WHERE table_name = '{table}'")
        compared = [f'"{name}"' for (name,) in columns if name not in ("materialized_at", "run_id")]
        sql = f'SELECT {", ".join(compared)} FROM "{table}" ORDER BY ALL'
        rows = pipeline.query(sql)
        assert other.query(sql) == rows
        filled += bool(rows)
    assert filled >= 7


def test_threads_and_batches_do_not_change_a_byte(pipeline: Pipeline) -> None:
    pipeline.write("some", one_each(range(7)), [Row([]), Row([image(8), image(9)])])
    other, another = pipeline.changed(threads=1, batch_size=1), pipeline.elsewhere().changed(threads=3, batch_size=3)
    for each in (other, another):
        assert each.run("some", only=EMBEDDED).success
    assert lake_files(other.settings.lake_root) == lake_files(another.settings.lake_root)


@pytest.mark.nightly
def test_of_a_changed_file_only_the_new_images_are_embedded(pipeline: Pipeline) -> None:
    pipeline.write("some", one_each(range(4)), one_each([4, 5]))
    assert pipeline.run("some", only=EMBEDDED).success
    # An additional row in the first file shifts all rows of the second one.
    pipeline.write("some", [Row([image(10)]), *one_each(range(4))], one_each([4, 5]))
    ran = pipeline.run("some", only=EMBEDDED)
    assert ran.success
    embeddings = ran.metadata("sscd_embeddings")
    assert (embeddings["images_embedded"], embeddings["images_reused"]) == (1, 6)
    ids = pipeline.lake.read(pipeline.lake.require("sscd_embeddings", "some"), "ids")["image_id"].to_pylist()
    assert ids == [hashlib.sha256(image(seed)).hexdigest()[:32] for seed in (10, 0, 1, 2, 3, 4, 5)]
    rows = pipeline.lake.read(pipeline.lake.require("subset_images", "some"))["row"].to_pylist()
    assert rows == [0, 1, 2, 3, 4, 5, 6]


@pytest.mark.nightly
def test_vectors_of_a_changed_subset_are_those_of_a_fresh_run(pipeline: Pipeline) -> None:
    pipeline.write("some", one_each(range(4)), one_each([4, 5]))
    assert pipeline.run("some", only=EMBEDDED).success
    pipeline.write("some", one_each([7, 3, 1]), one_each([5, 0, 4]))
    fresh = pipeline.elsewhere()
    for each in (pipeline, fresh):
        assert each.run("some", only=EMBEDDED).success
    old, new = (each.lake.require("sscd_embeddings", "some") for each in (pipeline, fresh))
    assert old.digest == new.digest
    assert old.units == new.units


@pytest.mark.nightly
def test_another_floor_recomputes_only_the_pairs(pipeline: Pipeline) -> None:
    pipeline.write("some", [*one_each(range(5)), Row([near_copy(0)])])
    assert pipeline.run("some").success
    root = pipeline.settings.lake_root
    others = ["subset_images", "subset_turns", "quality_rows", "sscd_embeddings", "sscd_index", "subset_diversity"]
    assert set(others) <= set(pipeline.lake.tables())
    before, pairs = written_at(root, *others), written_at(root, "near_duplicates")
    other = pipeline.changed(similarity_floor=0.92)
    ran = other.run("some")
    assert ran.success
    assert written_at(root, *others) == before
    assert written_at(root, "near_duplicates").keys() > pairs.keys()
    manifest = other.lake.require("near_duplicates", "some")
    assert manifest.settings["similarity_floor"] == 0.92
    assert manifest.rows("pairs") == 1
    assert other.publish().success
    columns = ", ".join(f"sum(neighbors_{name})" for name in NAMED_THRESHOLDS)
    # Neighbors below the floor are unknown, which differs from none.
    assert other.query(f"SELECT {columns} FROM images") == [(2, 2, None, None)]


def test_a_lower_limit_of_pixels_lists_the_images_again(pipeline: Pipeline) -> None:
    pipeline.write("some", one_each(range(3)))
    assert pipeline.run("some", only=EMBEDDED, sscd=COLOR).success
    smaller = pipeline.changed(max_pixels=64 * 64 - 1)
    ran = smaller.run("some", only=EMBEDDED, sscd=COLOR)
    assert ran.success
    assert ran.metadata("subset_images")["statuses"] == {"too_large": 3}
    assert ran.metadata("sscd_embeddings")["dagster/partition_row_count"] == 0


def test_the_same_image_in_several_files_is_embedded_once(pipeline: Pipeline) -> None:
    pipeline.write("some", one_each([0, 1]), one_each([1, 2]), one_each([0, 2]))
    ran = pipeline.run("some", only=EMBEDDED, sscd=COLOR)
    assert ran.metadata("sscd_embeddings")["images_embedded"] == 3
    assert ran.checks["one_vector_per_image"].passed
    manifest = pipeline.lake.require("sscd_embeddings", "some")
    assert [file.rows for file in manifest.files("ids")] == [2, 1, 0]


# Small subsets: checks -----------------------------------------------------------------------------------------------


def test_a_failed_blocking_check_stops_later_stages(pipeline: Pipeline) -> None:
    pipeline.write("some", one_each(range(3)))
    ran = pipeline.run("some", sscd=other_model("broken"))
    assert not ran.success
    assert not ran.checks["finite_unit_length"].passed
    assert ran.checks["finite_unit_length"].metadata["not_unit_length"].value == 3
    assert list(ran.failures) == ["subset_pass"]
    assert not ran.materialized & {"sscd_index", "near_duplicates", "subset_diversity"}
    assert pipeline.lake.manifest("near_duplicates", "some") is None


def test_too_many_unreadable_images_warn_and_stop_nothing(pipeline: Pipeline) -> None:
    pipeline.write("some", [Row([image(0), b"no image"]), *one_each([1, 2])])
    ran = pipeline.run("some", only=(*EMBEDDED, "near_duplicates", "subset_diversity"), sscd=COLOR)
    assert ran.success
    check = ran.checks["unreadable_share"]
    assert not check.passed
    assert check.severity == dg.AssetCheckSeverity.WARN
    assert check.metadata["share"].value == 0.25
    assert {"near_duplicates", "subset_diversity"} <= ran.materialized


def test_the_limit_of_unreadable_images_is_a_setting(pipeline: Pipeline) -> None:
    pipeline.write("some", [Row([image(0), b"no image"]), *one_each([1, 2])])
    lenient = pipeline.changed(unreadable_limit=0.25)
    assert lenient.run("some", only=["subset_images"]).checks["unreadable_share"].passed


# Small subsets: unusual ones -----------------------------------------------------------------------------------------


@pytest.mark.nightly
def test_rows_without_images_are_rows(pipeline: Pipeline) -> None:
    pipeline.write("some", [Row(), *one_each([0]), Row(), Row([image(1), image(2)])], [Row(), Row()])
    ran = pipeline.run("some")
    assert ran.success
    assert all(check.passed for check in ran.checks.values())
    assert pipeline.publish().success
    assert pipeline.query('SELECT "rows", rows_passing_quality, images, images_unique FROM subsets') == [(6, 6, 3, 3)]
    assert pipeline.query("SELECT row, image_index FROM images ORDER BY ALL") == [(1, 0), (3, 0), (3, 1)]


@pytest.mark.nightly
@pytest.mark.parametrize(
    "rows", [[Row(), Row()], [Row([b"x"]), Row([b"", None])], []], ids=["no images", "none readable", "no rows"]
)
def test_a_subset_without_readable_images_passes_all_stages(pipeline: Pipeline, rows: list[Row]) -> None:
    pipeline.write("some", rows)
    ran = pipeline.run("some")
    assert ran.success, ran.failures
    assert all(check.passed for name, check in ran.checks.items() if name != "unreadable_share")
    assert "closest_pairs" not in ran.metadata("near_duplicates")
    published = pipeline.publish()
    assert published.success
    assert published.checks["counts_equal_lake"].passed
    assert pipeline.query('SELECT "rows", images_unique FROM subsets') == [(len(rows), 0)]
    scores = pipeline.query("SELECT images, effective_rank, participation_ratio, vendi, score FROM diversity")
    assert set(scores) == {(0, None, None, None, None)}


def test_one_image_has_no_diversity_and_no_pairs(pipeline: Pipeline) -> None:
    pipeline.write("some", one_each([0]))
    ran = pipeline.run("some", sscd=COLOR)
    assert ran.success
    assert pipeline.publish().success
    assert set(pipeline.query("SELECT images, effective_rank, score FROM diversity WHERE images > 0")) == {
        (1, None, None)
    }
    assert pipeline.query("SELECT * FROM close_pair_positions") == []
    assert pipeline.query("SELECT neighbors_finevision FROM images") == [(0,)]


def test_copies_of_one_image_are_exact_pairs_and_no_near_ones(pipeline: Pipeline) -> None:
    pipeline.write("some", [Row([image(0), image(0)]), *one_each([0, 1])])
    assert pipeline.run("some", only=(*COPIES, "subset_diversity"), sscd=COLOR).success
    assert pipeline.publish(only=["warehouse"]).success
    columns = "row_a, image_index_a, row_b, image_index_b, exact"
    rows = pipeline.query(f"SELECT {columns} FROM close_pair_positions ORDER BY ALL")
    assert rows == [(0, 0, 0, 1, True), (0, 0, 1, 0, True), (0, 1, 1, 0, True)]
    scores = dict(
        pipeline.query("SELECT scope, images FROM diversity WHERE centered AND scope IN ('subset', 'subset_unique')")
    )
    assert scores == {"subset": 4, "subset_unique": 2}


@pytest.mark.nightly
@pytest.mark.parametrize("name", ["geoqa+(mathv360k)", "a naïve, other & more"])
def test_names_as_published_go_through_all_stages(pipeline: Pipeline, name: str) -> None:
    pipeline.write(name, one_each([0, 1]))
    ran = pipeline.run(name)
    assert ran.success
    assert pipeline.publish().success
    assert pipeline.query("SELECT DISTINCT subset FROM images") == [(name,)]


@pytest.mark.nightly
def test_subsets_that_share_images_are_told_apart(pipeline: Pipeline) -> None:
    pipeline.write("one", one_each([0, 1]))
    pipeline.write("two", one_each([1, 2]))
    for subset in ("one", "two"):
        assert pipeline.run(subset).success
    assert pipeline.publish().success
    pairs = pipeline.query("SELECT subset_a, row_a, subset_b, row_b, exact FROM close_pair_positions")
    assert pairs == [("one", 1, "two", 0, True)]


RATED = [
    Row([image(0)], turns=2, ratings={"visual_dependency": [5, 2], "relevance": [5, 5]}),
    Row([image(1)], turns=1, ratings={"visual_dependency": [3]}),
    Row([image(2)], turns=2, ratings={"formatting": [2, 1]}),
    Row([image(3)], turns=1),
    Row([image(4)], turns=0),
]


def test_a_quality_profile_drops_turns_and_rows_and_is_recorded(pipeline: Pipeline) -> None:
    pipeline.write("some", RATED)
    pipeline = pipeline.changed(quality_thresholds="blog")
    ran = pipeline.run("some")
    assert ran.success
    rows = pipeline.lake.read(pipeline.lake.require("quality_rows", "some"))
    assert rows["kept"].to_pylist() == [True, False, False, True, False]
    assert rows["turns_kept"].to_pylist() == [1, 0, 0, 1, 0]
    assert rows["turns_dropped_by_formatting"].to_pylist() == [0, 0, 2, 0, 0]
    metadata = ran.metadata("quality_rows")
    assert (metadata["rows_passing_quality"], metadata["turns"], metadata["turns_kept"]) == (2, 6, 2)
    dropped = {record.data["criterion"]: record.data for record in metadata["dropped_by_each_rule"].records}
    assert (dropped["visual_dependency"]["turns_dropped"], dropped["visual_dependency"]["rows_dropped"]) == (2, 1)
    assert pipeline.publish().success
    assert pipeline.query('SELECT "rows", rows_passing_quality, images FROM subsets') == [(5, 2, 5)]
    ((recorded,),) = pipeline.query("SELECT settings FROM provenance WHERE table_name = 'quality_rows'")
    assert json.loads(recorded)["thresholds"] == {
        "visual_dependency": 4,
        "image_correspondence": 3,
        "relevance": 4,
        "formatting": 3,
    }


def test_no_quality_profile_keeps_every_row_that_has_a_turn(pipeline: Pipeline) -> None:
    pipeline.write("some", RATED)
    ran = pipeline.run("some", only=["subset_images", "subset_turns", "quality_rows"])
    assert ran.metadata("quality_rows")["rows_passing_quality"] == 4


def test_thresholds_are_set_by_criterion_or_profile_and_rule(pipeline: Pipeline) -> None:
    pipeline.write("some", RATED)
    for thresholds, rule, kept in (
        ("visual_dependency=3,formatting=2", "turn", [0, 1, 2, 3]),
        ("visual_dependency=3,formatting=2", "row", [1, 3]),
        ("blog", "row", [3]),
    ):
        changed = pipeline.changed(quality_thresholds=thresholds, quality_rule=rule)
        ran = changed.run("some", only=["subset_images", "subset_turns", "quality_rows"])
        rows = changed.lake.read(changed.lake.require("quality_rows", "some"))
        assert rows.filter(pc.field("kept"))["row"].to_pylist() == kept
        assert ran.metadata("quality_rows")["rule"] == rule


def test_another_quality_profile_leaves_images_and_vectors_alone(pipeline: Pipeline) -> None:
    pipeline.write("some", RATED)
    assert pipeline.run("some", sscd=COLOR).success
    root = pipeline.settings.lake_root
    others = [table for table in pipeline.lake.tables() if table != "quality_rows"]
    assert len(others) >= 5
    before = written_at(root, *others)
    assert pipeline.changed(quality_thresholds="blog").run("some", sscd=COLOR).success
    assert written_at(root, *others) == before


def test_ratings_of_turns_that_have_none_are_counted_as_unrated(pipeline: Pipeline) -> None:
    pipeline.write("some", [replace(RATED[0], ratings={"relevance": [4, None], "formatting": [1]}), Row(turns=3)])
    assert pipeline.run("some", only=["subset_images", "subset_turns", "quality_rows"]).success
    assert pipeline.publish(only=["warehouse"]).success
    found = pipeline.query("SELECT criterion::VARCHAR, rating, turns FROM quality ORDER BY ALL NULLS LAST")
    assert found == [
        ("formatting", 1, 1),
        ("formatting", None, 4),
        ("image_correspondence", None, 5),
        ("relevance", 4, 1),
        ("relevance", None, 4),
        ("visual_dependency", None, 5),
    ]


def test_an_export_leaves_out_the_failing_turns_of_kept_rows(pipeline: Pipeline, tmp_path: Path) -> None:
    pipeline = pipeline.changed(quality_thresholds="blog")
    pipeline.write("some", RATED)
    ran = pipeline.run("some", only=(*COPIES, "quality_rows"), sscd=COLOR)
    assert ran.success, ran.failures
    assert pipeline.publish(only=DECISIONS).success
    settings = pipeline.settings
    source, rules, thresholds = open_source(settings), cleaning_rules(settings), quality_filter(settings).thresholds
    loaded = list(load_decisions(pipeline.lake, source, rules, quality_filter(settings)))
    decided = list(leave_out_turns(pipeline.lake, source, loaded, rules, thresholds))
    assert [decision.kept.tolist() for decision in decided] == [[True, False, False, True, False]]
    assert export(source, decided, tmp_path / "clean").turns_left_out == 1
    (file,) = (tmp_path / "clean" / "some").iterdir()
    assert pq.read_table(file)["visual_dependency_ratings"].to_pylist() == [[5], []]
    with pytest.raises(ConfigError, match="no turn can fail"):
        list(leave_out_turns(pipeline.lake, source, loaded, rules, {}))
    other = cleaning_rules(pipeline.changed(drop="duplicate").settings)
    with pytest.raises(ConfigError, match="VISDIV_DROP lacks quality"):
        list(leave_out_turns(pipeline.lake, source, loaded, other, thresholds))
    pipeline.write("some", [*RATED, Row(turns=1)])
    assert pipeline.run("some", only=["subset_images", "subset_turns"]).success
    with pytest.raises(StaleError, match="have changed since rows were rated"):
        list(leave_out_turns(pipeline.lake, source, loaded, rules, thresholds))


def test_thresholds_that_drop_no_rows_may_change_before_export(pipeline: Pipeline) -> None:
    pipeline = pipeline.changed(drop="unreadable")
    pipeline.write("some", RATED)
    ran = pipeline.run("some", only=(*COPIES, "quality_rows"), sscd=COLOR)
    assert ran.success, ran.failures
    assert pipeline.publish(only=DECISIONS).success
    settings = pipeline.changed(quality_thresholds="blog").settings
    source = open_source(settings)
    (decision,) = load_decisions(pipeline.lake, source, cleaning_rules(settings), quality_filter(settings))
    assert decision.kept.all()


def test_an_export_refuses_rows_decided_by_other_thresholds(pipeline: Pipeline) -> None:
    pipeline.write("some", RATED)
    ran = pipeline.run("some", only=(*COPIES, "quality_rows"), sscd=COLOR)
    assert ran.success, ran.failures
    assert pipeline.publish(only=DECISIONS).success
    source, rules = open_source(pipeline.settings), cleaning_rules(pipeline.settings)

    def kept(settings: Settings) -> list[bool]:
        (decision,) = load_decisions(pipeline.lake, source, rules, quality_filter(settings))
        return list(decision.kept.tolist())

    assert kept(pipeline.settings) == [True, True, True, True, False]
    changed = pipeline.changed(quality_thresholds="blog", quality_rule="row")
    with pytest.raises(StaleError, match=r"VISDIV_QUALITY_RULE changed since .* 'some' .*`visdiv run some`"):
        kept(changed.settings)
    assert changed.run("some", only=["quality_rows"]).success
    with pytest.raises(StaleError, match="were judged again since its rows were decided"):
        kept(changed.settings)
    assert changed.publish(only=DECISIONS).success
    assert kept(changed.settings) == [False, False, False, True, False]
