"""Text that was read in images corrects the verdicts of all three verified tables; without it nothing changes."""

from __future__ import annotations

import io
from pathlib import Path

import dagster as dg
import numpy as np
import pytest
from PIL import Image

from visdiv_assets.duplicates import text_verdicts
from visdiv_assets.duplicates.verify import TEXTS_DIFFER
from visdiv_assets.orchestration.assets import image_texts as module
from visdiv_assets.orchestration.assets import verification
from visdiv_assets.orchestration.automation import BENCHMARK_OCR_JOB, OCR_JOB
from visdiv_assets.orchestration.code_location import build_definitions
from visdiv_assets.orchestration.status import newly_read_subsets
from visdiv_assets.sources import Kind
from visdiv_assets.texts.ocr.interface import ReadText, no_text
from visdiv_assets_tests.conftest import QUIET, Pipeline, Ran, Row, made_once, other_model, png, write_shard
from visdiv_assets_tests.duplicates.test_text_differences import PAGE, page, with_line
from visdiv_assets_tests.testing.corpora import draw
from visdiv_assets_tests.testing.small_lakes import COPIES, LEAKS, OF_BENCHMARK, copy_lake, run_stages

DRAWN = draw("invoice", 3, 0)
TABLES = ("verified_duplicates", "verified_contamination")


def jpeg(quality: int) -> bytes:
    stream = io.BytesIO()
    DRAWN.save(stream, "JPEG", quality=quality)
    return stream.getvalue()


#: Four files of one drawing; what they say is up to the reader.
FIRST, SECOND, ELSEWHERE, TESTED = png(DRAWN), jpeg(95), jpeg(90), jpeg(85)


class Reader:
    """Finds the given texts in the given files, and no text in others."""

    def __init__(self, texts: dict[bytes, ReadText]) -> None:
        self.texts = [(np.asarray(Image.open(io.BytesIO(data)).convert("RGB")), text) for data, text in texts.items()]

    def read(self, pixels: np.ndarray) -> ReadText:
        return next((text for known, text in self.texts if np.array_equal(known, pixels)), no_text())


def make(folder: Path) -> None:
    write_shard(folder / "source", "some", [Row([FIRST]), Row([SECOND])])
    write_shard(folder / "source", "other", [Row([ELSEWHERE])])
    write_shard(folder / "source", "bench", [Row([TESTED])], kind=Kind.BENCHMARK)
    run_stages(folder, subset=(*COPIES, *LEAKS), benchmark=OF_BENCHMARK)


@pytest.fixture
def made(pipeline: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    """Return the jobs on a copy of two subsets and a benchmark with verified pairs, of which no text was read."""
    copy_lake(made_once(tmp_path_factory, "untold", make), pipeline)
    return pipeline


def read(pipeline: Pipeline, job: str, name: str) -> None:
    definition = build_definitions(pipeline.settings).resolve_job_def(job)
    result = definition.execute_in_process(
        instance=pipeline.instance,
        partition_key=name,
        asset_selection=[dg.AssetKey("image_texts" if job == OCR_JOB else "benchmark_image_texts")],
        raise_on_error=False,
        run_config=QUIET,
    )
    assert Ran(result).success, Ran(result).failures


def verify(pipeline: Pipeline, name: str = "some") -> list[tuple[bool, str]]:
    """Verify again, and return the verdicts within a subset and with the benchmark."""
    ran = pipeline.run(name, only=TABLES)
    assert ran.success, ran.failures
    pairs = [pipeline.lake.read(pipeline.lake.require(table, name), "pairs").to_pylist() for table in TABLES]
    return [(pair["verified"], pair["reason"]) for pair in (*pairs[0], *pairs[1])]


def digests(pipeline: Pipeline) -> list[str]:
    return [pipeline.lake.require(table, "some").digest for table in TABLES]


@pytest.fixture
def told(made: Pipeline, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    """Return what was made, and read the text of a subset and the benchmark."""
    reader = Reader({FIRST: page(*PAGE), SECOND: page(*PAGE), TESTED: with_line(4, "Total 971.00")})
    reader.texts += Reader({ELSEWHERE: with_line(2, "Lantern copper 3 120.40")}).texts
    monkeypatch.setattr(module, "load_reader", lambda threads: reader)
    monkeypatch.setattr(module, "reader_id", lambda: "known@1")
    read(made, OCR_JOB, "some")
    read(made, BENCHMARK_OCR_JOB, "bench")
    return made


#: The two images of the subset say the same, and the benchmark's says something else.
REJECTED = [(True, ""), (False, TEXTS_DIFFER), (False, TEXTS_DIFFER)]


def test_pages_that_read_differently_are_rejected_everywhere(told: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    before = digests(told)
    assert verify(told) == REJECTED
    rates = told.lake.read(told.lake.require("verified_contamination", "some"), "rates").to_pylist()
    assert {rate["images_contaminated"] for rate in rates} == {0}
    read(told, OCR_JOB, "other")
    ran = told.publish(only=["cross_subset_duplicates", "verified_cross_subset"])
    assert ran.success, ran.failures
    across = told.lake.read(told.lake.require("verified_cross_subset", "all"), "pairs").to_pylist()
    assert {(pair["verified"], pair["reason"]) for pair in across} == {(False, TEXTS_DIFFER)}
    # Without the reader's findings, the verdicts are those of pixels again.
    monkeypatch.setattr(verification, "read_texts", lambda store, sets, decoding: [])
    assert verify(told) == [(True, "")] * 3
    assert digests(told) == before


def test_another_rule_is_applied_to_known_verdicts(told: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    assert verify(told) == REJECTED
    monkeypatch.setattr(text_verdicts, "texts_differ", lambda a, b, transform: True)
    assert verify(told) == REJECTED
    monkeypatch.setattr(text_verdicts, "TEXTS_VERSION", "another")
    ran = told.run("some", only=["verified_duplicates"])
    assert ran.success, ran.failures
    assert ran.metadata("verified_duplicates")["pairs_compared"] == 0
    assert verify(told) == [(False, TEXTS_DIFFER)] * 3


def test_subsets_with_newly_read_text_are_found(told: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    # No text of "other" was read.
    assert newly_read_subsets(told.lake, "shown") == ["some"]
    verify(told)
    assert newly_read_subsets(told.lake, "shown") == []
    reader = Reader({TESTED: page(*PAGE)})
    monkeypatch.setattr(module, "load_reader", lambda threads: reader)
    monkeypatch.setattr(module, "reader_id", lambda: "known@2")
    read(told, BENCHMARK_OCR_JOB, "bench")
    assert newly_read_subsets(told.lake, "shown") == ["some"]
    assert newly_read_subsets(told.lake, "finevision") == []
    # Contamination by another image of the benchmark is not known.
    told.write("bench", [Row([TESTED]), Row([png(draw("invoice", 4, 0))])], kind=Kind.BENCHMARK)
    assert told.run("bench", kind=Kind.BENCHMARK, only=OF_BENCHMARK, sscd=other_model("color")).success
    assert newly_read_subsets(told.lake, "shown") == []


def test_nothing_changes_without_text(made: Pipeline) -> None:
    before = digests(made)
    assert verify(made) == [(True, "")] * 3
    assert digests(made) == before
    inputs = [name for table in TABLES for name in made.lake.require(table, "some").inputs]
    assert not any("texts" in name for name in inputs)
