"""Digests of partitions, and files that two writes make byte for byte equal."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import digest_of
from visdiv_assets_tests.storage.helpers import files_below, run_python, write_numbers


class TestDigests:
    def test_equal_content_has_equal_digests(self, lake: Lake, tmp_path: Path) -> None:
        one = write_numbers(lake, "some", {"a": [1], "b": [2]}, run_id="1", source_revision="1")
        other = write_numbers(
            Lake(tmp_path / "other"), "other", {"c": [1], "d": [2]}, run_id="2", source_revision="2", code_version="2"
        )
        assert one.digest == other.digest

    @pytest.mark.parametrize(
        ("units", "plan"),
        [
            ({"a": [1], "b": [3]}, {}),
            ({"a": [2], "b": [1]}, {}),
            ({"a": [1]}, {}),
            ({}, {}),
            ({"a": [1], "b": [2], "c": []}, {}),
            ({"a": [1], "b": [2]}, {"model_id": "other"}),
            ({"a": [1], "b": [2]}, {"table": "other"}),
        ],
        ids=str,
    )
    def test_changed_content_has_another_digest(
        self, lake: Lake, units: dict[str, list[int]], plan: dict[str, str]
    ) -> None:
        one = write_numbers(lake, "some", {"a": [1], "b": [2]})
        assert write_numbers(lake, "other", units, **plan).digest != one.digest  # type: ignore[arg-type]

    def test_a_vector_that_changed_in_one_bit_has_another_digest(self, lake: Lake) -> None:
        digests = set()
        for bit in (0, 1):
            vectors = np.zeros((3, 4), np.float16)
            vectors.view(np.uint16)[2, 3] = bit
            write = lake.write("table", str(bit), code_version="1")
            with write.add("unit") as unit:
                unit.array("vectors", vectors)
            digests.add(write.commit().digest)
        assert len(digests) == 2

    def test_two_independent_writes_give_byte_equal_files(self, tmp_path: Path) -> None:
        code = """
import sys
import numpy as np, pyarrow as pa
from visdiv_assets.storage.lake import Lake
rng = np.random.default_rng(0)
write = Lake(sys.argv[1]).write("table", "some", code_version="1")
table = pa.table({"a": rng.integers(0, 99, 5000), "b": [str(i % 37) if i % 5 else None for i in range(5000)]})
with write.add("unit") as unit:
    unit.table("rows", table, table.schema)
    unit.array("vectors", rng.random((50, 8)).astype(np.float16))
write.commit()
"""
        for name in ("one", "other"):
            done = run_python(code, tmp_path / name)
            assert done.returncode == 0, done.stderr
        one, other = files_below(tmp_path / "one"), files_below(tmp_path / "other")
        assert one.keys() == other.keys()
        assert len(one) == 4
        for path in one:
            if not path.endswith("manifest.json"):
                assert one[path] == other[path], path

    def test_a_digest_depends_on_values_not_on_the_order_of_keys(self) -> None:
        assert digest_of({"a": 1, "b": [1, None]}) == digest_of({"b": [1, None], "a": 1})
        values = [{"a": 1}, {"a": "1"}, {"a": None}, {"a": [1]}, {}, [], "", None, 0, False, ["ab"], ["a", "b"], "é"]
        assert len({digest_of(value) for value in values}) == len(values)
        assert digest_of({"b": "é", "a": 1}) == hashlib.sha256(b'{"a":1,"b":"\\u00e9"}').hexdigest()[:32]

    def test_recorded_hashes_are_those_of_the_files(self, lake: Lake) -> None:
        manifest = write_numbers(lake, "some", {"a": range(1000), "b": []})
        for file in manifest.files("rows"):
            content = (Path(lake.files.root) / "table" / "some" / file.name).read_bytes()
            assert (file.size_bytes, file.sha256) == (len(content), hashlib.sha256(content).hexdigest())
