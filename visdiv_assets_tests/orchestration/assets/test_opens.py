"""How often a whole run opens the files of its source."""

from __future__ import annotations

from collections import Counter

import pyarrow.parquet as pq
import pytest

from visdiv_assets.sources import Kind, parquet, parquet_files
from visdiv_assets_tests.conftest import Pipeline, Row, image, near_copy, one_each, other_model


@pytest.mark.nightly
def test_a_file_is_opened_five_times_at_most_in_a_run(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: Counter[str] = Counter()
    open_file = parquet_files.open_file

    def counted(path: parquet_files.Readable) -> pq.ParquetFile:
        opened[str(path)] += 1
        return open_file(path)

    monkeypatch.setattr(parquet_files, "open_file", counted)
    monkeypatch.setattr(parquet, "open_file", counted)
    monkeypatch.setattr(parquet_files, "_known_footers", {})
    files = pipeline.write("one", [Row([image(0), near_copy(0)]), *one_each([1, 2])])
    files += pipeline.write("two", [Row([near_copy(1)])])
    files += pipeline.write("bench", [Row([near_copy(2), image(0)])], kind=Kind.BENCHMARK)
    assert pipeline.run("bench", kind=Kind.BENCHMARK, sscd=other_model("color")).success
    for name in ("one", "two"):
        assert pipeline.run(name, sscd=other_model("color")).success
    assert pipeline.publish().success
    # Once for version and footer, once in the pass, and once in each of the three comparisons of full images.
    assert [opened[str(file)] for file in files] == [5, 3, 3]
