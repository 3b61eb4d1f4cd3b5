"""The asset `image_texts` and its tables, with a reader that says what a test wants."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import dagster as dg
import duckdb
import numpy as np
import pytest

from visdiv_assets import extras
from visdiv_assets.errors import ModelError
from visdiv_assets.orchestration.assets import image_texts as module
from visdiv_assets.orchestration.automation import OCR_JOB
from visdiv_assets.orchestration.code_location import build_definitions
from visdiv_assets.publishing.warehouse.publish import publish
from visdiv_assets.texts.ocr import sample
from visdiv_assets.texts.ocr.interface import ReadText, no_text
from visdiv_assets.texts.ocr.rapid import reader_id
from visdiv_assets_tests.conftest import QUIET, Pipeline, Ran, Row, image, one_each, other_model, shapes

SUBSET = "some"
BEFORE = ("subset_images", "subset_turns", "sscd_embeddings")


def said(*lines: str) -> ReadText:
    """Return lines that cover the upper half of an image together."""
    edges = np.linspace(0, 0.5, len(lines) + 1)
    boxes = [[[0, a], [1, a], [1, b], [0, b]] for a, b in pairwise(edges.tolist())]
    return ReadText(np.array(boxes, np.float32), list(lines), np.full(len(lines), 0.5, np.float32))


class Telling:
    """A reader that finds the given texts in `shapes` of some seeds, and no text in others."""

    def __init__(self) -> None:
        self.texts: dict[int, ReadText | ModelError] = {}
        self.read_images = 0

    def read(self, pixels: np.ndarray) -> ReadText:
        self.read_images += 1
        for seed, text in self.texts.items():
            if np.array_equal(pixels, np.asarray(shapes(seed))):
                if isinstance(text, ModelError):
                    raise text
                return text
        return no_text()


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> Telling:
    telling = Telling()
    monkeypatch.setattr(module, "load_reader", lambda threads: telling)
    monkeypatch.setattr(module, "reader_id", lambda: "telling@1")
    return telling


def run_ocr(pipeline: Pipeline) -> Ran:
    job = build_definitions(pipeline.settings).resolve_job_def(OCR_JOB)
    return Ran(
        job.execute_in_process(instance=pipeline.instance, partition_key=SUBSET, raise_on_error=False, run_config=QUIET)
    )


def publish_and_ask(pipeline: Pipeline, folder: Path) -> Callable[[str], list[tuple[object, ...]]]:
    published = publish(pipeline.lake, folder / "visdiv.duckdb")
    assert not published.differences

    def ask(sql: str) -> list[tuple[object, ...]]:
        with duckdb.connect(str(folder / "visdiv.duckdb"), read_only=True) as connection:
            return connection.execute(sql).fetchall()

    return ask


def test_each_image_is_read_once_and_published(pipeline: Pipeline, reader: Telling, tmp_path: Path) -> None:
    # The turns of these rows answer "answer".
    rows = [Row([image(1)], turns=2), Row([image(2), image(1)]), Row([image(3)]), Row([b"unreadable"])]
    pipeline.write(SUBSET, rows)
    reader.texts = {1: said("The", "Answer"), 2: said("Image not found"), 3: ModelError("broken")}
    assert pipeline.run(SUBSET, only=BEFORE, sscd=other_model("color")).success
    ran = run_ocr(pipeline)
    assert ran.success, ran.failures
    assert reader.read_images == 3
    assert not ran.checks["images_read"].passed
    assert (ran.metadata("image_texts")["images_with_text"], ran.metadata("image_texts")["placeholders"]) == (2, 1)
    ask = publish_and_ask(pipeline, tmp_path)
    assert ask(
        'SELECT "row", image_index, status, boxes, characters, words, text_area, confidence, excerpt, placeholder, '
        'answers, answers_in_image FROM image_texts ORDER BY "row"'
    ) == [
        (0, 0, "read", 2, 9, 2, 0.5, 0.5, "The\nAnswer", False, 2, 2),
        (1, 0, "read", 1, 15, 3, 0.5, 0.5, "Image not found", True, 1, 0),
        (2, 0, "failed", None, None, None, None, None, None, None, 1, None),
    ]
    assert ask(
        "SELECT subset, images_read, images_failed, share_without_text, share_few_characters, placeholders, answers, "
        "share_in_image, co_text_rate FROM image_text_summary"
    ) == [(SUBSET, 2, 1, 0.0, 1.0, 1, 3, pytest.approx(2 / 3), pytest.approx(2 / 3))]
    assert ask("SELECT model_id FROM provenance WHERE table_name = 'image_texts'") == [("telling@1",)]


def test_images_of_another_decoding_are_read_again(pipeline: Pipeline, reader: Telling) -> None:
    pipeline.write(SUBSET, one_each([1, 2]))
    assert pipeline.run(SUBSET, only=BEFORE, sscd=other_model("color")).success
    published = pipeline.changed(decoding="finevision")
    for number, (each, decoding) in enumerate([(pipeline, None), (published, "finevision")], 1):
        for _ in range(2):
            ran = run_ocr(each)
            assert ran.success, ran.failures
            assert reader.read_images == 2 * number
            assert each.lake.require("image_texts", SUBSET).settings.get("decoding") == decoding


def test_texts_of_images_that_changed_since_are_not_published(
    pipeline: Pipeline, reader: Telling, tmp_path: Path
) -> None:
    reader.texts = {1: said("text")}
    pipeline.write(SUBSET, one_each([1, 2]))
    assert pipeline.run(SUBSET, only=BEFORE, sscd=other_model("color")).success
    assert run_ocr(pipeline).success
    pipeline.write(SUBSET, one_each([2, 1]))
    assert pipeline.run(SUBSET, only=BEFORE, sscd=other_model("color")).success
    assert publish_and_ask(pipeline, tmp_path)("FROM image_texts") == []
    assert run_ocr(pipeline).success
    found = publish_and_ask(pipeline, tmp_path)("SELECT \"row\" FROM image_texts WHERE excerpt = 'text'")
    assert found == [(1,)]


def test_a_larger_sample_reads_only_what_is_new(
    pipeline: Pipeline, reader: Telling, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sample, "UNIT_IMAGES", 2)
    pipeline.write(SUBSET, one_each(range(6)))
    assert pipeline.run(SUBSET, only=BEFORE, sscd=other_model("color")).success
    for asked, read in ((2, 2), (2, 2), (4, 4)):
        ran = run_ocr(pipeline.changed(ocr_sample=asked))
        assert ran.success, ran.failures
        assert ran.metadata("image_texts")["images_read"] == asked
        assert reader.read_images == read


def test_a_subset_without_images_has_an_empty_table(pipeline: Pipeline, reader: Telling, tmp_path: Path) -> None:
    pipeline.write(SUBSET, [Row([])])
    assert pipeline.run(SUBSET, only=BEFORE, sscd=other_model("color")).success
    ran = run_ocr(pipeline)
    assert ran.success, ran.failures
    assert reader.read_images == 0
    assert publish_and_ask(pipeline, tmp_path)("SELECT count(*) FROM image_texts") == [(0,)]


def test_without_the_extra_one_line_names_it(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline.write(SUBSET, one_each([1]))
    assert pipeline.run(SUBSET, only=BEFORE, sscd=other_model("color")).success
    reader_id.cache_clear()
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    line = run_ocr(pipeline).failures["image_texts"]
    assert line == "rapidocr is not installed: run `pip install 'visdiv-assets[ocr]'`"


def test_the_job_makes_what_needs_texts_of_a_subset() -> None:
    job = build_definitions().resolve_job_def(OCR_JOB)
    names = ("image_texts", "image_text_leaks", "image_listed_words", "masked_alignment")
    assert set(job.asset_layer.executable_asset_keys) == {dg.AssetKey(name) for name in names}
