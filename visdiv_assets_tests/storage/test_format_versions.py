"""Records of other releases: older ones are migrated, newer ones are refused, unknown fields are ignored."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from visdiv_assets.errors import StorageError
from visdiv_assets.storage import format_versions
from visdiv_assets.storage.format_versions import (
    FORMAT_VERSION,
    MANIFEST_MIGRATIONS,
    UNIT_MIGRATIONS,
    NewerFormatError,
    format_record,
    parse_record,
    product_version,
)
from visdiv_assets.storage.lake import Lake
from visdiv_assets_tests.storage.helpers import NUMBERS, numbers, read_numbers, write_numbers

#: What version 1 wrote for the unit "unit" of `numbers(1, 2)` in a partition of code version 1.
UNIT_V1: dict[str, Any] = {
    "digest": "ab802470ba0635e0ab85aa0e038dc310",
    "files": {
        "rows": {
            "name": "ab802470ba0635e0ab85aa0e038dc310.rows.parquet",
            "rows": 2,
            "sha256": "SHA",
            "size_bytes": -1,
        }
    },
    "name": "unit",
}

MANIFEST_V1: dict[str, Any] = {
    "code_version": "1",
    "facts": {"images": 2},
    "inputs": {"subset_images": "4f2a"},
    "materialized_at": "2025-11-02T10:00:00+00:00",
    "model_id": None,
    "partition": "some",
    "run_id": "a-run",
    "settings": {},
    "source_revision": "r1",
    "table": "table",
    "units": [UNIT_V1],
}


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


def manifest_path(lake: Lake) -> Path:
    return Path(lake.files.root) / "table" / "some" / "manifest.json"


def unit_path(lake: Lake) -> Path:
    (path,) = Path(lake.files.root).rglob("*.unit.json")
    return path


def change(path: Path, **fields: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_bytes()), **fields}))


def write_version_1(lake: Lake) -> None:
    """Write a partition, then its records as version 1 wrote them."""
    written = write_numbers(lake, "some", {"unit": [1, 2]})
    (file,) = written.files("rows")
    content = {"sha256": file.sha256, "size_bytes": file.size_bytes}
    unit = {**UNIT_V1, "files": {"rows": {**UNIT_V1["files"]["rows"], **content}}}
    unit_path(lake).write_text(json.dumps(unit, indent=1))
    manifest_path(lake).write_text(json.dumps({**MANIFEST_V1, "units": [unit]}, indent=1))


class TestOlder:
    def test_a_version_1_manifest_is_read(self, lake: Lake) -> None:
        write_version_1(lake)
        manifest = lake.require("table", "some")
        assert read_numbers(lake, "some") == [1, 2]
        assert (manifest.product_version, manifest.facts, manifest.run_id) == ("", {"images": 2}, "a-run")

    def test_a_version_1_unit_is_reused(self, lake: Lake) -> None:
        write_version_1(lake)
        write = lake.write("table", "some", code_version="1")
        assert write.reuse("unit")
        assert write.commit().units == lake.require("table", "some").units

    def test_digests_are_those_of_version_1(self, lake: Lake) -> None:
        write_version_1(lake)
        before = lake.require("table", "some")
        after = write_numbers(lake, "some", {"unit": [1, 2]})
        assert after.units[0].digest == UNIT_V1["digest"]
        assert after.digest == before.digest

    def test_a_read_does_not_change_the_file(self, lake: Lake) -> None:
        write_version_1(lake)
        before = manifest_path(lake).read_bytes()
        lake.require("table", "some")
        assert manifest_path(lake).read_bytes() == before

    @pytest.mark.parametrize("migrations", [MANIFEST_MIGRATIONS, UNIT_MIGRATIONS])
    def test_there_is_a_step_from_every_older_version(self, migrations: dict[int, object]) -> None:
        assert sorted(migrations) == list(range(1, FORMAT_VERSION))

    def test_steps_are_applied_one_after_the_other(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(format_versions, "FORMAT_VERSION", 4)
        steps = {
            version: lambda record, version=version: {"steps": [*record["steps"], version]} for version in (1, 2, 3)
        }
        assert parse_record(b'{"steps": []}', "p", steps) == {"steps": [1, 2, 3]}
        assert parse_record(b'{"steps": [], "format_version": 3}', "p", steps) == {"steps": [3]}
        assert parse_record(b'{"steps": [], "format_version": 4}', "p", steps)["steps"] == []


class TestNewer:
    def test_a_newer_manifest_names_the_release_to_install(self, lake: Lake) -> None:
        write_numbers(lake, "some", {"unit": [1]})
        path = manifest_path(lake)
        change(path, format_version=FORMAT_VERSION + 1, product_version="99.1")
        with pytest.raises(StorageError) as caught:
            lake.manifest("table", "some")
        assert str(caught.value) == (
            f"{path} has format version {FORMAT_VERSION + 1}, but visdiv-assets {product_version()} reads versions up "
            f"to {FORMAT_VERSION}: install visdiv-assets 99.1 or later"
        )

    def test_a_newer_manifest_of_an_unknown_release_says_upgrade(self, lake: Lake) -> None:
        write_numbers(lake, "some", {"unit": [1]})
        manifest_path(lake).write_text('{"format_version": 7}')
        with pytest.raises(StorageError, match=r"has format version 7, .*: upgrade visdiv-assets"):
            lake.manifest("table", "some")

    def test_a_newer_manifest_is_not_replaced(self, lake: Lake) -> None:
        write_numbers(lake, "some", {"unit": [1]})
        change(manifest_path(lake), format_version=FORMAT_VERSION + 1)
        for _ in range(2):
            with pytest.raises(NewerFormatError):
                lake.write("table", "some", code_version="1")

    def test_a_newer_unit_is_refused(self, lake: Lake) -> None:
        write = lake.write("table", "some", code_version="1")
        with write.add("unit") as unit:
            unit.table("rows", numbers(1), NUMBERS)
        change(unit_path(lake), format_version=FORMAT_VERSION + 1)
        with pytest.raises(StorageError, match=r"\.unit\.json has format version .*: upgrade visdiv-assets"):
            write.reuse("unit")


class TestTolerance:
    def test_unknown_fields_are_ignored(self, lake: Lake) -> None:
        manifest = write_numbers(lake, "some", {"unit": [1]})
        path = manifest_path(lake)
        value = json.loads(path.read_bytes())
        value["later"] = value["units"][0]["later"] = value["units"][0]["files"]["rows"]["later"] = 1
        path.write_text(json.dumps(value))
        change(unit_path(lake), later=1)
        assert lake.manifest("table", "some") == manifest
        assert lake.write("table", "some", code_version="1").reuse("unit")

    def test_missing_optional_fields_get_their_defaults(self, lake: Lake) -> None:
        write_numbers(lake, "some", {"unit": [1]}, run_id="a-run", source_revision="r1")
        path = manifest_path(lake)
        value = json.loads(path.read_bytes())
        for name in ("model_id", "source_revision", "facts", "run_id", "materialized_at", "product_version"):
            del value[name]
        path.write_text(json.dumps(value))
        manifest = lake.require("table", "some")
        assert (manifest.model_id, manifest.source_revision, manifest.facts, manifest.run_id) == (None, None, {}, "")

    @pytest.mark.parametrize("version", [0, -1, 1.5, "2", None, True, []])
    def test_an_impossible_version_is_damage(self, lake: Lake, version: object) -> None:
        write_numbers(lake, "some", {"unit": [1]})
        change(manifest_path(lake), format_version=version)
        with pytest.raises(StorageError, match="is not a manifest of this program"):
            lake.manifest("table", "some")


def test_records_have_a_format_and_manifests_a_product_version(lake: Lake) -> None:
    manifest = write_numbers(lake, "some", {"unit": [1]})
    stored = json.loads(manifest_path(lake).read_bytes())
    assert (stored["format_version"], stored["product_version"]) == (FORMAT_VERSION, product_version())
    assert manifest.product_version == product_version() != ""
    assert json.loads(unit_path(lake).read_bytes())["format_version"] == FORMAT_VERSION
    assert json.loads(format_record({"b": 1})) == {"b": 1, "format_version": FORMAT_VERSION}
