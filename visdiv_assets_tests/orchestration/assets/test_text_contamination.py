"""`benchmark_texts` and `text_contamination`: benchmarks' words in questions and answers, and their tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from visdiv_assets.publishing.warehouse.publish import publish
from visdiv_assets.sources import Kind
from visdiv_assets_tests.conftest import Pipeline, Ran, image, query, written_at

LONG = "how many of the seven gray geese in front of the old mill are looking at the camera"
OPTION = "the third one from the left behind the fence"
TEMPLATE = "answer the question with the letter of the right option from the given choices only please"
#: Eleven questions share the template: one more than GPT-3's limit.
QUESTIONS = [LONG, *(f"{TEMPLATE} what is shown in image {number}" for number in range(11))]


def write_benchmark(pipeline: Pipeline, name: str, questions: list[str]) -> Path:
    path = Path(pipeline.settings.source) / "benchmarks" / name / "test.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    columns: dict[str, Any] = {
        "image": [{"bytes": image(number + 1), "path": f"{name}.png"} for number in range(len(questions))],
        "question": questions,
        "options": [["yes", OPTION] if question == LONG else ["yes"] for question in questions],
    }
    pq.write_table(pa.table(columns), path)
    return path


def write_subset(pipeline: Pipeline, *shards: list[list[tuple[str | None, str | None]]]) -> None:
    folder = Path(pipeline.settings.source) / "subsets" / "some"
    folder.mkdir(parents=True, exist_ok=True)
    for number, rows in enumerate(shards):
        texts = [[{"user": user, "assistant": assistant} for user, assistant in turns] for turns in rows]
        images = [[{"bytes": image(1), "path": None}] for _ in rows]
        pq.write_table(pa.table({"images": images, "texts": texts}), folder / f"train-{number:05}.parquet")


def run_benchmark(pipeline: Pipeline, name: str) -> Ran:
    ran = pipeline.run(name, kind=Kind.BENCHMARK, only=["benchmark_images", "benchmark_strings", "benchmark_texts"])
    assert ran.success, ran.failures
    return ran


def run(pipeline: Pipeline) -> Ran:
    ran = pipeline.run("some", only=["subset_images", "subset_turns", "text_contamination"])
    assert ran.success, ran.failures
    return ran


@pytest.fixture
def made(pipeline: Pipeline) -> Pipeline:
    write_benchmark(pipeline, "geese", QUESTIONS)
    write_benchmark(pipeline, "other", ["nothing of this is anywhere in the subset that is looked at here today"])
    write_subset(
        pipeline,
        [
            [("Hello?", "yes"), (f"Look: {LONG.upper()}!", None)],
            [],
            [(f"{TEMPLATE} what do you see", "The THIRD one, from the left... behind the fence")],
        ],
        [[(None, "in front of the old mill are looking at us and at nobody else")], [("yes", "yes")]],
    )
    for name in ("geese", "other"):
        run_benchmark(pipeline, name)
    return pipeline


def overlaps(pipeline: Pipeline) -> list[tuple[Any, ...]]:
    store = pipeline.lake
    found = store.read(store.require("text_contamination", "some"), "overlaps")
    return [tuple(record.values()) for record in found.to_pylist()]


def test_texts_are_found_word_by_word_but_templates_are_not(made: Pipeline) -> None:
    run(made)
    # 18 of the 19 words are the question.
    assert overlaps(made) == [
        (0, 1, "user", "geese", 8, 12, 11, pytest.approx(11 / 12), 18),
        (0, 1, "user", "geese", 13, 7, 6, pytest.approx(6 / 7), 18),
        (2, 0, "assistant", "geese", 0, 1, 1, 1.0, 9),
        (2, 0, "assistant", "geese", 8, 2, 2, 1.0, 9),
        (3, 0, "assistant", "geese", 8, 7, 2, pytest.approx(2 / 7), 9),
    ]


def test_rates_count_rows_and_stand_in_the_warehouse(made: Pipeline) -> None:
    ran = run(made)
    assert {name: ran.metadata("text_contamination")[name] for name in ("rows_found", "rows_half_found", "rate")} == {
        "rows_found": 1,
        "rows_half_found": 1,
        "rate": 0.2,
    }
    publish(made.lake, made.settings.warehouse_path)
    rates = query(
        made.settings,
        "SELECT benchmark, ngram_size, rows, rows_matched, rows_half_matched, rate FROM text_contamination_rates "
        "ORDER BY ALL",
    )
    of_geese = [(0, 5, 1, 1, 0.2), (8, 5, 3, 2, 0.6), (13, 5, 1, 1, 0.2)]
    assert rates == [
        *(("ALL", *values) for values in of_geese),
        *(("geese", *values) for values in of_geese),
        *(("other", size, 5, 0, 0, 0.0) for size in (0, 8, 13)),
    ]
    assert query(made.settings, 'SELECT DISTINCT subset, "row" FROM text_overlaps ORDER BY ALL') == [
        ("some", 0),
        ("some", 2),
        ("some", 3),
    ]


def test_only_files_that_changed_are_read_again(made: Pipeline) -> None:
    run(made)
    before = written_at(made.settings.lake_root, "text_contamination")
    write_subset(made, [[("Hello?", "yes")]])
    run(made)
    after = written_at(made.settings.lake_root, "text_contamination")
    assert [file[:3] for file in overlaps(made)] == [(1, 0, "assistant")]
    assert set(before) < set(after)


def test_a_benchmark_that_changed_is_compared_again(made: Pipeline) -> None:
    run(made)
    write_benchmark(made, "geese", ["a question about something else that nobody has asked before now"])
    run_benchmark(made, "geese")
    run(made)
    assert overlaps(made) == []


def test_without_benchmarks_and_without_texts_nothing_is_found(pipeline: Pipeline) -> None:
    write_subset(pipeline, [[], []])
    ran = run(pipeline)
    assert overlaps(pipeline) == []
    assert ran.metadata("text_contamination")["rate"] == 0.0
