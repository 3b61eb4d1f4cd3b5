"""Manifests as JSON: their fields, and damaged ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from visdiv_assets.errors import VisdivError
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import DataFile, Manifest, Unit, manifest_from_json, unit_from_json, unit_to_json
from visdiv_assets_tests.storage.helpers import begin, read_numbers, write_numbers

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
TEXTS = st.dictionaries(st.text(), st.text(), max_size=3)
FILES = st.builds(DataFile, st.text(), st.integers(0), st.integers(0), st.text())
UNITS = st.builds(Unit, st.text(), st.text(), st.dictionaries(st.text(), FILES, max_size=3))

MANIFESTS = st.builds(
    Manifest,
    table=st.text(),
    partition=st.text(),
    units=st.lists(UNITS, max_size=3).map(tuple),
    inputs=TEXTS,
    model_id=st.none() | st.text(),
    settings=st.dictionaries(st.text(), PLAIN, max_size=3),
    code_version=st.text(),
    source_revision=st.none() | st.text(),
    facts=st.dictionaries(st.text(), PLAIN, max_size=3),
    run_id=st.text(),
    materialized_at=st.text(),
    product_version=st.text(),
)


class TestManifests:
    @settings(deadline=None, max_examples=60)
    @given(MANIFESTS)
    def test_a_manifest_reads_back_as_it_was(self, manifest: Manifest) -> None:
        assert manifest_from_json(manifest.to_json()) == manifest

    @settings(deadline=None, max_examples=60)
    @given(UNITS)
    def test_a_units_record_reads_back_as_it_was(self, unit: Unit) -> None:
        assert unit_from_json(unit_to_json(unit)) == unit

    def test_a_committed_manifest_holds_its_provenance(self, lake: Lake) -> None:
        write = lake.write(
            "table",
            "some",
            code_version="3",
            inputs={"images": "abc"},
            model_id="model",
            settings={"limit": 0.5, "names": ["x"]},
            source_revision="r1",
            run_id="run",
        )
        write.commit(rows=7, digests={"a": "b"})
        stored = lake.require("table", "some")
        assert (stored.code_version, stored.model_id, stored.source_revision, stored.run_id) == (
            ("3", "model", "r1", "run")
        )
        assert stored.inputs == {"images": "abc"}
        assert stored.settings == {"limit": 0.5, "names": ["x"]}
        assert stored.facts == {"rows": 7, "digests": {"a": "b"}}
        assert stored.materialized_at.endswith("+00:00")

    def test_a_manifest_cut_off_anywhere_is_one_line_that_names_it(self, lake: Lake) -> None:
        path = Path(lake.files.root) / "table" / "some" / "manifest.json"
        write_numbers(lake, "some", {"unit": [1]})
        content = path.read_bytes()
        for length in range(len(content)):
            path.write_bytes(content[:length])
            with pytest.raises(VisdivError, match="is not a manifest of this program") as caught:
                lake.manifest("table", "some")
            assert str(path) in str(caught.value)

    @pytest.mark.parametrize(
        "damage",
        [
            b"null",
            b"[]",
            b"{}",
            b"7",
            b"\xff\xfe",
            b"\0" * 500,
            b'{"units": 5}',
            b'{"units": [5]}',
            b'{"units": [{}]}',
            b'{"units": []}',
            b'{"units": null}',
        ],
    )
    def test_a_damaged_manifest_is_one_line_that_names_it(self, lake: Lake, damage: bytes) -> None:
        write_numbers(lake, "some", {"unit": [1]})
        path = Path(lake.files.root) / "table" / "some" / "manifest.json"
        path.write_bytes(damage)
        with pytest.raises(VisdivError, match="is not a manifest of this program") as caught:
            lake.require("table", "some")
        assert str(path) in str(caught.value)
        assert lake.partitions("table") == ["some"]

    @pytest.mark.parametrize("field", ["table", "inputs", "settings", "code_version"])
    def test_a_manifest_without_a_required_field_is_one_line(self, lake: Lake, field: str) -> None:
        write_numbers(lake, "some", {"unit": [1]})
        path = Path(lake.files.root) / "table" / "some" / "manifest.json"
        value = json.loads(path.read_bytes())
        del value[field]
        path.write_text(json.dumps(value))
        with pytest.raises(VisdivError, match=field):
            lake.manifest("table", "some")

    def test_a_damaged_manifest_is_replaced_by_the_next_commit(self, lake: Lake) -> None:
        write_numbers(lake, "some", {"unit": [1]})
        (Path(lake.files.root) / "table" / "some" / "manifest.json").write_bytes(b"{")
        write = begin(lake)
        assert write.reuse("unit")
        write.commit()
        assert read_numbers(lake, "some") == [1]
