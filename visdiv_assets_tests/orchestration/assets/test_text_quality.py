"""`text_quality` from the turns to the DuckDB file, the clean copy and its card."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from visdiv_assets.corpus.tables import LakeTable
from visdiv_assets.curation.row_findings import dropped_rows, load_row_facts
from visdiv_assets.publishing.warehouse.publish import publish
from visdiv_assets.texts import language
from visdiv_assets_tests.conftest import Pipeline, image, query, written_at

EMAIL = "jane.doe@mail.example.com"
LOOP = "and on and on " * 20
ENGLISH = "The old mill stands at the end of a long lane, and behind it a river runs to the sea."

ROWS: list[list[tuple[str | None, str | None]]] = [
    [("What is it?", ENGLISH), ("Write to whom?", f"To {EMAIL} or {EMAIL}")],
    [("What is it?", "I cannot see the image."), ("And now?", None)],
    [("What is it?", LOOP), ("And now?", "A house.")],
    [("What is it?", LOOP)],
    [],
]


def write_subset(pipeline: Pipeline, rows: list[list[tuple[str | None, str | None]]], number: int = 0) -> None:
    folder = Path(pipeline.settings.source) / "subsets" / "some"
    folder.mkdir(parents=True, exist_ok=True)
    columns: dict[str, Any] = {
        "images": [[{"bytes": image(10 * number + seed), "path": None}] for seed in range(len(rows))],
        "texts": [[{"user": user, "assistant": answer} for user, answer in turns] for turns in rows],
    }
    pq.write_table(pa.table(columns), folder / f"train-{number:05}.parquet")


@pytest.fixture
def made(pipeline: Pipeline) -> Pipeline:
    write_subset(pipeline, ROWS)
    run(pipeline)
    return pipeline


def run(pipeline: Pipeline) -> dict[str, Any]:
    ran = pipeline.run("some", only=["subset_images", "subset_turns", "text_quality"])
    assert ran.success, ran.failures
    return dict(ran.metadata("text_quality"))


def dropped(pipeline: Pipeline, profile: str) -> list[tuple[int, str]]:
    facts = load_row_facts(
        pipeline.lake,
        "some",
        copies_by="pixels",
        contamination_threshold=0.95,
        text_contamination_share=0.5,
        image_profile="basic",
        text_profile=profile,
        drop=["text_quality"],
    )
    duplicates = pa.table({"row": pa.array([], pa.int64())})
    return [(row["row"], row["detail"]) for row in dropped_rows(facts, duplicates).to_pylist()]


def test_turns_and_personal_data_are_published_without_values(made: Pipeline) -> None:
    publish(made.lake, made.settings.warehouse_path)
    turns = 'SELECT "row", turn, answer_words, refusal, empty_answer FROM text_quality ORDER BY ALL'
    assert query(made.settings, turns) == [
        (0, 0, 20, False, False),
        (0, 1, 12, False, False),
        (1, 0, 5, True, False),
        (1, 1, 0, False, True),
        (2, 0, 80, False, False),
        (2, 1, 2, False, False),
        (3, 0, 80, False, False),
    ]
    assert query(made.settings, "FROM personal_data") == [("some", 0, 1, "assistant", "email", 2, 3)]
    summary = query(made.settings, 'SELECT kind, "rows", found, share FROM personal_data_summary')
    assert summary == [("email", 1, 2, 0.2), ("phone", 0, 0, 0), ("ip_address", 0, 0, 0), ("key", 0, 0, 0)]
    assert query(made.settings, "SELECT turns, empty_answers, refusals, repetitive FROM text_quality_summary") == [
        (7, 1, 1, 3)
    ]
    assert query(made.settings, "SELECT p50 FROM quality_quantiles WHERE measure = 'answer_words'") == [(12,)]
    stored = made.lake.require(LakeTable.TEXT_QUALITY, "some")
    for path in (Path(made.settings.warehouse_path), *Path(made.settings.lake_root).glob("text_quality/**/*")):
        assert not path.is_file() or EMAIL.encode() not in path.read_bytes()
    assert stored.rows("turns") == 7


def test_a_row_leaves_only_if_every_turn_is_poor(made: Pipeline) -> None:
    assert dropped(made, "basic") == [
        (1, "every turn exceeds a limit: refusal"),
        (3, "every turn exceeds a limit: repeated ngrams"),
    ]
    assert [row for row, _ in dropped(made, "gopher")] == [1, 3]


def test_only_changed_files_are_measured_again(made: Pipeline) -> None:
    before = written_at(made.settings.lake_root, "text_quality")
    write_subset(made, [[("Why?", "Because.")]], number=1)
    assert run(made)["units_reused"] == 1
    after = written_at(made.settings.lake_root, "text_quality")
    assert {name: time for name, time in after.items() if name in before and name.endswith(".parquet")} == {
        name: time for name, time in before.items() if name.endswith(".parquet")
    }


def test_without_the_detector_there_is_no_language(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    write_subset(pipeline, ROWS)
    run(pipeline)
    table = pipeline.lake.read(pipeline.lake.require(LakeTable.TEXT_QUALITY, "some"), "turns")
    languages = table["language"].to_pylist()
    assert (languages[0], languages[3], languages[5]) == ("en", None, None)
    monkeypatch.setattr(language, "is_available", lambda: False)
    run(pipeline)
    table = pipeline.lake.read(pipeline.lake.require(LakeTable.TEXT_QUALITY, "some"), "turns")
    assert table["language"].null_count == 7
