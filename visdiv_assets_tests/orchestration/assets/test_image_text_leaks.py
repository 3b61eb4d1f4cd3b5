"""`image_text_leaks`: texts of benchmarks in images and of their images, with a reader that says what a test wants."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from visdiv_assets.orchestration.assets import image_texts as module
from visdiv_assets.orchestration.automation import BENCHMARK_OCR_JOB, OCR_JOB
from visdiv_assets.orchestration.code_location import build_definitions
from visdiv_assets.sources import Kind
from visdiv_assets_tests.conftest import QUIET, Pipeline, Ran, image
from visdiv_assets_tests.orchestration.assets.test_image_texts import Telling, publish_and_ask, said

QUESTION = "How many of the seven gray geese in front of the old mill are looking at the camera?"
PAGE = (
    "The harbor was built in 1874, when the river had been dredged as far as the bridge.",
    "Grain and timber were its first goods; coal came with the railway nine years later.",
)


@pytest.fixture
def made(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    reader = Telling()
    monkeypatch.setattr(module, "load_reader", lambda threads: reader)
    monkeypatch.setattr(module, "reader_id", lambda: "telling@1")
    whole = " ".join(PAGE)
    reader.texts = {
        # Of the benchmark: a page, and one that stands nowhere.
        11: said(*PAGE),
        12: said("Nothing of this page, whatever it says, is in any image or any text of the training data."),
        # Of the subset: the question in other lines, misread; the page in other lines; an image of its own.
        1: said("Quiz 7", "How many of the seven graygeese in", "front of the 0ld mill are looking at the camera?"),
        2: said(whole[:50], whole[50:90], whole[90:].replace("coal", "coa1")),
        3: said("mail jane.doe@example.com or call +1 650 253 0000", "a page of text that is in no benchmark at all"),
    }
    source = Path(pipeline.settings.source)
    rows = [(1, "What?", "One."), (2, "What?", "Two."), (3, "What?", f"It says: {whole}")]
    columns: dict[str, Any] = {
        "images": [[{"bytes": image(seed), "path": None}] for seed, _, _ in rows],
        "texts": [[{"user": user, "assistant": answer}] for _, user, answer in rows],
    }
    write(source / "subsets" / "some", columns)
    columns = {
        "image": [{"bytes": image(seed), "path": f"{seed}.png"} for seed in (11, 12)],
        "question": [QUESTION, "What is this?"],
    }
    write(source / "benchmarks" / "bench", columns)
    ran = pipeline.run("bench", kind=Kind.BENCHMARK, only=["benchmark_images", "benchmark_strings"])
    assert ran.success, ran.failures
    ran = pipeline.run("some", only=["subset_images", "subset_turns"])
    assert ran.success, ran.failures
    return pipeline


def write(folder: Path, columns: dict[str, Any]) -> None:
    folder.mkdir(parents=True)
    pq.write_table(pa.table(columns), folder / "test.parquet")


def run(pipeline: Pipeline, job: str, name: str) -> Ran:
    definition = build_definitions(pipeline.settings).resolve_job_def(job)
    result = definition.execute_in_process(
        instance=pipeline.instance, partition_key=name, raise_on_error=False, run_config=QUIET
    )
    ran = Ran(result)
    assert ran.success, ran.failures
    return ran


def test_each_kind_of_leak_is_found_once_with_rates(made: Pipeline, tmp_path: Path) -> None:
    run(made, BENCHMARK_OCR_JOB, "bench")
    run(made, OCR_JOB, "some")
    # So that leaks of images that are listed again are not published.
    assert {"subset_images", "subset_turns"} <= set(made.lake.require("image_text_leaks", "some").inputs)
    ask = publish_and_ask(made, tmp_path)
    assert ask(
        'SELECT kind, "row", image_index, benchmark_row, benchmark_image_index, benchmark_string, share >= 0.7 '
        "FROM image_text_leaks ORDER BY ALL"
    ) == [
        ("text_in_image", 0, 0, 0, None, 0, True),
        ("image_in_text", 2, None, 0, 0, None, True),
        ("image_in_image", 1, 0, 0, 0, None, True),
    ]
    assert ask(
        "SELECT kind, compared, found, round(ci_low, 2), round(ci_high, 2), benchmark_compared, benchmark_found "
        "FROM image_text_leak_rates ORDER BY ALL"
    ) == [
        ("text_in_image", 3, 1, 0.06, 0.79, 1, 1),
        ("image_in_text", 3, 1, 0.06, 0.79, 2, 1),
        ("image_in_image", 3, 1, 0.06, 0.79, 2, 1),
    ]
    assert ask('SELECT "row", kind, count FROM image_personal_data ORDER BY ALL') == [(2, "email", 1), (2, "phone", 1)]
    again = run(made, OCR_JOB, "some")
    assert again.metadata("image_text_leaks")["units_reused"] == 3


def test_what_was_not_read_is_null_and_never_zero(made: Pipeline, tmp_path: Path) -> None:
    run(made, OCR_JOB, "some")
    ask = publish_and_ask(made, tmp_path)
    assert ask(
        "SELECT text_in_image, text_in_image_rate > 0, image_in_text, image_in_text_rate, image_in_image "
        "FROM image_text_leak_summary"
    ) == [(1, True, None, None, None)]
