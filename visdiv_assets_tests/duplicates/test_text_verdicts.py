"""Verdicts of pixels that text in the images corrects, read from a lake."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import pyarrow as pa
import pytest

from visdiv_assets.duplicates import text_verdicts as module
from visdiv_assets.duplicates.pair_verification import known_verdicts
from visdiv_assets.duplicates.text_verdicts import heed_texts, read_texts
from visdiv_assets.duplicates.verify import TEXTS_DIFFER, Evidence
from visdiv_assets.duplicates.verify_pairs import verdict_table
from visdiv_assets.imaging.limits import Decoding, decoding_settings
from visdiv_assets.sources import Kind
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import Manifest
from visdiv_assets.texts.ocr.findings import BOXES_SCHEMA, READ_SCHEMA, box_rows, describe_text
from visdiv_assets.texts.ocr.interface import ReadText
from visdiv_assets_tests.duplicates.test_text_differences import PAGE, SAME, page, with_line

A, OTHER, COPY, UNREAD = (letter * 32 for letter in "abcd")
OTHER_PAGE = with_line(4, "Total 971.00")
CONFIRMED = Evidence(True, "aligned", "", transform=SAME, overlap=1.0, agreement=0.99, confidence=0.97)
REJECTED = Evidence(False, "unconfirmed", "contents differ", transform=SAME, confidence=0.1)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path)


def store(
    lake: Lake, name: str, texts: Mapping[str, ReadText], table: str = "image_texts", decoding: Decoding = "shown"
) -> Manifest:
    write = lake.write(table, name, code_version="1", settings=decoding_settings(decoding))
    with write.add("unit") as unit:
        unit.table(
            "read", pa.Table.from_pylist([describe_text(*each) for each in texts.items()], READ_SCHEMA), READ_SCHEMA
        )
        unit.table("boxes", pa.concat_tables([box_rows(*each) for each in texts.items()]), BOXES_SCHEMA)
    return write.commit()


def pairs(*found: tuple[str, str, Evidence]) -> pa.Table:
    verdicts = verdict_table([evidence for _, _, evidence in found])
    names = pa.table({"image_id_a": [a for a, _, _ in found], "image_id_b": [b for _, b, _ in found]})
    return pa.table([*names.columns, *verdicts.columns], schema=pa.schema([*names.schema, *verdicts.schema]))


def heeded(table: pa.Table, lake: Lake, *read: Manifest) -> pa.Table:
    return pa.Table.from_batches(heed_texts(partial(table.to_batches, max_chunksize=2), lake, read), table.schema)


ALL = pairs(
    (A, OTHER, CONFIRMED), (A, COPY, CONFIRMED), (A, UNREAD, CONFIRMED), (OTHER, COPY, REJECTED), (A, A, CONFIRMED)
)


@pytest.mark.parametrize("at_a_time", [1, 1000])
def test_a_confirmed_pair_whose_texts_differ_is_rejected(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, at_a_time: int
) -> None:
    monkeypatch.setattr(module, "PAIRS_AT_A_TIME", at_a_time)
    # The copy lies in another set, with an image of the first.
    read = store(lake, "one", {A: page(*PAGE), OTHER: OTHER_PAGE})
    benchmark = store(lake, "two", {COPY: page(*PAGE), A: page(*PAGE)}, "benchmark_image_texts")
    found = heeded(ALL, lake, read, benchmark)
    assert found.schema == ALL.schema
    first = found.slice(0, 1).to_pylist()[0]
    assert (first["verified"], first["evidence"], first["reason"]) == (False, "unconfirmed", TEXTS_DIFFER)
    assert first["confidence"] is None
    assert tuple(first["transform"]) == SAME
    assert found.slice(1).equals(ALL.slice(1))


def test_texts_of_another_decoding_are_left_out(lake: Lake) -> None:
    images = [(kind, lake.write(f"{kind.value}_images", "some", code_version="1").commit()) for kind in Kind]
    assert read_texts(lake, images, "shown") == []
    shown = store(lake, "some", {A: page(*PAGE)})
    published = store(lake, "some", {A: page(*PAGE)}, "benchmark_image_texts", "finevision")
    assert read_texts(lake, images, "shown") == [shown]
    assert read_texts(lake, images, "finevision") == [published]


def test_equal_texts_confirm_nothing(lake: Lake) -> None:
    read = store(lake, "one", {OTHER: page(*PAGE), COPY: page(*PAGE), A: page(*PAGE)})
    assert heeded(ALL, lake, read).equals(ALL)


def test_without_texts_the_same_batches_come_back(lake: Lake) -> None:
    batches = ALL.to_batches(max_chunksize=2)
    assert all(one is other for one, other in zip(heed_texts(lambda: batches, lake, []), batches, strict=True))


@pytest.mark.parametrize("read_in_both", [False, True])
def test_only_pairs_with_text_in_both_images_are_held(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, read_in_both: bool
) -> None:
    many = pairs(*[(A, UNREAD, CONFIRMED), (OTHER, COPY, REJECTED)] * 1000, (A, OTHER, CONFIRMED))
    read = store(lake, "one", {A: page(*PAGE), COPY: page(*PAGE), **({OTHER: OTHER_PAGE} if read_in_both else {})})
    asked: list[int] = []
    taken: list[int] = []
    look_up = module.read_texts_of

    def counting(lake: Lake, read: list[Manifest], image_ids: list[str]) -> dict[str, ReadText]:
        asked.append(len(image_ids))
        return look_up(lake, read, image_ids)

    def batches() -> Iterator[pa.RecordBatch]:
        for batch in many.to_batches(max_chunksize=100):
            taken.append(batch.num_rows)
            yield batch

    monkeypatch.setattr(module, "read_texts_of", counting)
    found = []
    for batch in heed_texts(batches, lake, [read]):
        found.append(batch)
        # The first reading is over; of the second, each batch is passed on before the next is taken.
        assert len(taken) == len(many.to_batches(max_chunksize=100)) + len(found)
    assert asked == [2] * read_in_both
    table = pa.Table.from_batches(found)
    assert table.slice(0, 2000).equals(many.slice(0, 2000))
    assert table["reason"][2000].as_py() == (TEXTS_DIFFER if read_in_both else "")


def test_what_pixels_said_of_a_corrected_pair_is_not_known(lake: Lake) -> None:
    found = heeded(ALL, lake, store(lake, "one", {A: page(*PAGE), OTHER: OTHER_PAGE}))
    write = lake.write("verified_duplicates", "some", code_version="1")
    with write.add("pairs") as unit:
        unit.table("pairs", found, found.schema)
    known = known_verdicts(lake, write.commit())("")
    assert known["image_id_b"].to_pylist() == [COPY, UNREAD, COPY, A]
