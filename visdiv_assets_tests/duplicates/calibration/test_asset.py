from __future__ import annotations

import base64
import io
import re
from typing import Any

import dagster as dg
import numpy as np
import pytest
from PIL import Image

from visdiv_assets.duplicates.calibration.rates import CALIBRATION_SCHEMA, SIMILARITY, VERIFIED, sentence
from visdiv_assets.orchestration.assets.calibration import calibration
from visdiv_assets.orchestration.resources import build_resources
from visdiv_assets.statistics import ALL
from visdiv_assets_tests.conftest import (
    QUIET,
    Pipeline,
    Row,
    image,
    lake_files,
    near_copy,
    one_each,
    other_model,
    png,
    written_at,
)

EMBEDDED = ("subset_images", "sscd_embeddings")


def embed(pipeline: Pipeline, name: str = "some") -> None:
    assert pipeline.run(name, only=EMBEDDED, sscd=other_model("color")).success


def calibrate(
    pipeline: Pipeline, name: str = "some", images: int = 2, model: str = "color", **settings: Any
) -> tuple[dict[str, Any], dg.ExecuteInProcessResult]:
    """Materialize only the asset; return its metadata, empty if it failed, and the result of the run."""
    changed = pipeline.settings.model_copy(update={"calibration_images": images, **settings})
    result = dg.materialize(
        [calibration],
        partition_key=name,
        instance=pipeline.instance,
        resources={**build_resources(changed), "sscd": other_model(model)},
        run_config=QUIET,
        raise_on_error=False,
    )
    events = result.get_asset_materialization_events()
    metadata = {key: value.value for event in events for key, value in event.materialization.metadata.items()}
    return metadata, result


@pytest.fixture
def calibrated(pipeline: Pipeline) -> Pipeline:
    """Return a pipeline with eight images, one of them with a near copy, in two files."""
    pipeline.write("some", one_each(range(5)), [*one_each([5, 6, 7]), Row([near_copy(0)])])
    embed(pipeline)
    return pipeline


def test_rates_of_the_subsets_own_images_are_stored_and_shown(calibrated: Pipeline) -> None:
    metadata, result = calibrate(calibrated)
    assert result.success
    assert all(evaluation.passed for evaluation in result.get_asset_check_evaluations())
    store = calibrated.lake
    manifest = store.require("calibration", "some")
    table = store.read(manifest, "rates")
    assert table.schema.equals(CALIBRATION_SCHEMA)
    assert metadata["dagster/partition_row_count"] == table.num_rows == 54 * 3 * 12
    copies, pairs = store.read(manifest, "copies"), store.read(manifest, "pairs")
    listed = store.read(store.require("subset_images", "some"))
    informative = sorted({row["image_id"] for row in listed.to_pylist() if not row["low_information"]})
    assert set(copies["image_id"].to_pylist()) == set(informative[:2])
    assert 100 <= copies.num_rows == metadata["copies"] <= 106
    assert metadata["images"] == 2
    ids = store.read(store.require("sscd_embeddings", "some"), "ids")["image_id"].to_pylist()
    vectors = store.array(store.require("sscd_embeddings", "some"), "vectors")[:].astype(np.float64)
    near = {
        frozenset({ids[a], ids[b]})
        for a, b in zip(*np.nonzero(np.triu(vectors @ vectors.T >= 0.45, 1)), strict=True)
        if ids[a] in informative or ids[b] in informative
    }
    assert {frozenset({row["image_id"], row["other_image_id"]}) for row in pairs.to_pylist()} == near
    for name, rule, threshold in (("verified", VERIFIED, None), ("at_0.95", SIMILARITY, 0.95)):
        (row,) = [
            row
            for row in table.to_pylist()
            if (row["kind"], row["strength"], row["rule"], row["threshold"]) == (ALL, ALL, rule, threshold)
        ]
        assert metadata[f"recall_{name}"] == row["recall"]
        assert metadata.get(f"precision_{name}") == row["precision"]
        assert sentence(table, rule, threshold) in metadata["in_words"]
    assert metadata["recommended_threshold"] == "none"
    assert "nearest pairs" in metadata["recommended_because"]


def test_the_plot_is_in_the_metadata(calibrated: Pipeline) -> None:
    metadata, _ = calibrate(calibrated, images=1)
    found = re.fullmatch(r"!\[recall and precision\]\(data:image/png;base64,([A-Za-z0-9+/=]+)\)", metadata["rates"])
    assert found
    assert len(metadata["rates"]) < 110_000
    assert Image.open(io.BytesIO(base64.b64decode(found[1]))).size == (900, 1100)


@pytest.mark.nightly
def test_nothing_is_measured_twice_and_two_runs_agree(calibrated: Pipeline) -> None:
    first, _ = calibrate(calibrated, images=1)
    root = calibrated.settings.lake_root
    before, content = written_at(root, "calibration"), lake_files(root, "calibration")
    again, _ = calibrate(calibrated, images=1)
    assert (first["units_reused"], again["units_reused"]) == (0, 1)
    assert written_at(root, "calibration") == before
    assert {**first, "seconds": 0, "units_reused": 0} == {**again, "seconds": 0, "units_reused": 0}
    for path in (calibrated.settings.data_folder / "lake" / "calibration").rglob("*.*"):
        path.unlink()
    calibrate(calibrated, images=1)
    assert lake_files(root, "calibration") == content
    other, _ = calibrate(calibrated, images=1, duplicate_threshold=0.97)
    assert other["units_reused"] == 0
    assert "recall_at_0.97" in other


@pytest.mark.parametrize(
    "rows",
    [
        [Row(), Row()],
        [Row([b"no image"]), Row([None])],
        [Row([image(1)]), Row([image(1)])],
        [Row([png(Image.new("RGB", (32, 32), color))]) for color in ("white", "black", "red")],
    ],
    ids=["no images", "unreadable", "one image", "blank images"],
)
def test_subsets_with_nothing_to_measure_get_an_empty_table(pipeline: Pipeline, rows: list[Row]) -> None:
    pipeline.write("some", rows)
    embed(pipeline)
    metadata, result = calibrate(pipeline)
    assert result.success
    assert metadata["dagster/partition_row_count"] == metadata["copies"] == metadata["images"] == 0
    assert metadata["recommended_threshold"] == "none"
    assert "rates" not in metadata
    store = pipeline.lake
    assert store.read(store.require("calibration", "some"), "rates").equals(CALIBRATION_SCHEMA.empty_table())


def test_zero_images_turn_it_off(calibrated: Pipeline) -> None:
    metadata, result = calibrate(calibrated, images=0)
    assert result.success
    assert metadata["copies"] == 0


def test_vectors_of_another_model_are_an_error_of_one_line(pipeline: Pipeline) -> None:
    pipeline.write("some", one_each(range(3)))
    embed(pipeline)
    _, result = calibrate(pipeline, model="broken")
    (failed,) = [event for event in result.all_events if event.is_step_failure]
    assert failed.step_failure_data.user_failure_data is not None
    assert failed.step_failure_data.user_failure_data.description == (
        "the vectors of 'some' were made by color@000000000000/skew_320, but broken@000000000000/skew_320 is set: "
        "run `visdiv run some` first"
    )
