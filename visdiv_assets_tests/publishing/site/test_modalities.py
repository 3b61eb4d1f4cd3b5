"""The boxes on the page on leaks across modalities are read once for each subset and benchmark."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pytest

from visdiv_assets.duplicates.text_verdicts import read_texts_of
from visdiv_assets.publishing.site import modalities
from visdiv_assets.publishing.site.report_data import Corpus
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import Manifest
from visdiv_assets.texts.ocr.findings import BOXES_SCHEMA, box_rows
from visdiv_assets.texts.ocr.interface import ReadText

A, B, TESTED = (letter * 32 for letter in "abc")


def text(line: str) -> ReadText:
    return ReadText(np.full((1, 4, 2), 0.5, np.float32), [line], np.ones(1, np.float32))


def test_texts_of_all_matches_are_read_once_for_each_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = Lake(tmp_path)
    for table, name, ids in (("image_texts", "some", [A, B]), ("benchmark_image_texts", "bench", [TESTED])):
        write = lake.write(table, name, code_version="1")
        with write.add("unit") as unit:
            unit.table("boxes", pa.concat_tables([box_rows(each, text(f"of {each[0]}")) for each in ids]), BOXES_SCHEMA)
        write.commit()
    read: list[str] = []

    def counting(store: Lake, manifests: Sequence[Manifest], image_ids: Sequence[str]) -> dict[str, ReadText]:
        read.extend(manifest.partition for manifest in manifests)
        return read_texts_of(store, manifests, image_ids)

    monkeypatch.setattr(modalities, "read_texts_of", counting)
    match: dict[str, Any] = {"subset": "some", "benchmark": "bench", "image_id": A, "benchmark_image_id": TESTED}
    matches = [match, {**match, "image_id": B, "benchmark_image_id": None}, {**match, "image_id": None}]
    found = modalities._read_texts(cast(Corpus, SimpleNamespace(lake=lake)), matches)
    assert {name: of.texts for name, of in found.items()} == {A: ["of a"], B: ["of b"], TESTED: ["of c"]}
    assert sorted(read) == ["bench", "some"]
