"""The dataset of FiftyOne: samples, tags and images, as its importer reads them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pytest

from visdiv_assets.curation.export import DROPPED_SCHEMA, SubsetDecision
from visdiv_assets.curation.fiftyone_export import FiftyOneResult, export_fiftyone
from visdiv_assets.errors import ModelError, VisdivError
from visdiv_assets.sources import Kind, Source
from visdiv_assets.sources.versions import Version
from visdiv_assets.storage.lake import Lake
from visdiv_assets_tests.conftest import made_once
from visdiv_assets_tests.publishing.review.lakes import FOUR, IMAGES, ONE, THREE, TWO, Images, decide, make_lake


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return Lake(made_once(tmp_path_factory, "review", lambda folder: make_lake(folder)))


def decided(subset: str, rows: int, *dropped: dict[str, Any]) -> SubsetDecision:
    records = [{"subset": subset, **record} for record in dropped]
    version = cast(Version, None)  # An export of images does not look at it.
    return SubsetDecision(subset, version, np.ones(rows, bool), pa.Table.from_pylist(records, schema=DROPPED_SCHEMA))


def export(lake: Lake, folder: Path, images: Images | None = None) -> FiftyOneResult:
    duplicate = {"row": 1, "reason": "duplicate", "evidence": "recolored", "confidence": 0.5}
    witness = {"witness_kind": "subset", "witness": "charts", "witness_row": 0, "witness_image": 0}
    decisions = [
        decided("charts", 3, duplicate | witness, {"row": 1, "reason": "quality"}),
        decided("maps", 2),
    ]
    return export_fiftyone(lake, cast(Source, images or Images()), decisions, folder)


def samples(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((folder / "samples.json").read_text())["samples"]
    return found


def test_there_is_a_sample_for_each_position(lake: Lake, tmp_path: Path) -> None:
    assert export(lake, tmp_path / "out") == FiftyOneResult(samples=5, images=4, left_out=0)
    found = [(each["subset"], each["row"], each["image_id"]) for each in samples(tmp_path / "out")]
    assert found == [("charts", 0, ONE), ("charts", 1, TWO), ("charts", 2, THREE), ("maps", 0, FOUR), ("maps", 1, ONE)]


def test_tags_say_what_is_kept_and_what_is_undecided(lake: Lake, tmp_path: Path) -> None:
    export(lake, tmp_path / "out")
    assert [each["tags"] for each in samples(tmp_path / "out")] == [
        ["kept"],
        ["duplicate", "quality", "undecided"],
        ["kept", "undecided"],
        ["kept"],
        ["kept"],
    ]


@pytest.mark.parametrize(("decision", "undecided"), [("right", []), ("wrong", []), (None, [TWO, THREE])])
def test_a_pair_that_a_person_decided_is_not_undecided(
    tmp_path: Path, decision: str | None, undecided: list[str]
) -> None:
    lake = make_lake(tmp_path / "lake")
    if decision:
        decide(lake, "charts", TWO, THREE, decision)
    export(lake, tmp_path / "out")
    assert [each["image_id"] for each in samples(tmp_path / "out") if "undecided" in each["tags"]] == undecided


def test_a_dropped_row_has_its_evidence_and_witness(lake: Lake, tmp_path: Path) -> None:
    export(lake, tmp_path / "out")
    first, second, *_ = samples(tmp_path / "out")
    assert (second["reason"], second["evidence"], second["confidence"]) == ("duplicate", "recolored", 0.5)
    assert second["witness"] == "charts, row 0, image 0"
    assert (first["reason"], first["witness"]) == (None, None)


def test_images_are_written_once_as_they_are_stored(lake: Lake, tmp_path: Path) -> None:
    export(lake, tmp_path / "out")
    of_charts = IMAGES[Kind.SUBSET, "charts"]
    for sample, data in zip(samples(tmp_path / "out"), of_charts, strict=False):
        assert (tmp_path / "out" / sample["filepath"]).read_bytes() == data
    assert len(list((tmp_path / "out" / "data").iterdir())) == 4
    # Without a version, every release of FiftyOne reads the samples as plain values.
    assert set(json.loads((tmp_path / "out" / "metadata.json").read_text())) == {"media_type", "info"}


def test_a_folder_with_files_is_refused(lake: Lake, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").touch()
    with pytest.raises(VisdivError, match="is not empty: choose a new or empty folder"):
        export(lake, tmp_path / "out")
    assert [each.name for each in (tmp_path / "out").iterdir()] == ["mine.txt"]


def test_an_image_that_has_changed_is_not_written(lake: Lake, tmp_path: Path) -> None:
    changed = Images()
    changed.images[Kind.SUBSET, "charts"][2] = b"other bytes"
    with pytest.raises(ModelError, match="has changed"):
        export(lake, tmp_path / "out", changed)
    assert not (tmp_path / "out" / "metadata.json").exists()
