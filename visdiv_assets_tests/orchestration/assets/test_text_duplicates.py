"""`text_signatures` and `text_duplicates`: what repeats, where, and what is computed again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from visdiv_assets.publishing.warehouse.publish import publish
from visdiv_assets.sources import Kind
from visdiv_assets_tests.conftest import SAMPLE, Pipeline, Ran, image, made_once, other_model, query, written_at
from visdiv_assets_tests.testing.small_lakes import copy_lake, run_stages

LONG = "The old mill stands at the end of a long lane, and behind it a river runs to the sea past green meadows."
NEARLY = LONG.replace("meadows", "hills").upper() + "!"
OTHER_NUMBER = "The {} old mills stand at the end of a long lane, and behind them a river runs to the sea."

STAGES = ("subset_images", "subset_turns", "text_signatures")
#: What the clusters need of images.
PAIRS = ("near_duplicates", "verified_duplicates", "contamination")

#: A row: seeds of its images, and its turns.
Rows = list[tuple[list[int], list[tuple[str | None, str | None]]]]


def write_subset(source: str | Path, name: str, rows: Rows, number: int = 0) -> None:
    folder = Path(source) / "subsets" / name
    folder.mkdir(parents=True, exist_ok=True)
    columns: dict[str, Any] = {
        "images": [[{"bytes": image(seed), "path": None} for seed in seeds] for seeds, _ in rows],
        "texts": [[{"user": user, "assistant": answer} for user, answer in turns] for _, turns in rows],
    }
    pq.write_table(pa.table(columns), folder / f"train-{number:05}.parquet")


def run(pipeline: Pipeline, *subsets: str) -> Ran:
    for name in subsets:
        ran = pipeline.run(name, only=STAGES)
        assert ran.success, ran.failures
    ran = pipeline.publish(only=["text_duplicates"])
    assert ran.success, ran.failures
    return ran


def counts(pipeline: Pipeline, subset: str, kind: str, match: str = "exact") -> dict[str, Any]:
    store = pipeline.lake
    summary = store.read(store.require("text_duplicates", "all"), "summary").to_pylist()
    found: dict[str, Any]
    (found,) = [each for each in summary if (each["subset"], each["kind"], each["match"]) == (subset, kind, match)]
    return found


ONE: Rows = [
    ([1], [("Why?", "Because."), ("What is it?", LONG)]),
    ([1], [("Why?", "Because.")]),
    ([2], [("What is it?", OTHER_NUMBER.format(3))]),
    ([], [(None, None)]),
]
TWO: Rows = [([3], [("What is it?", NEARLY)]), ([4], [("Who?", OTHER_NUMBER.format(4))])]


def write_both(source: str | Path) -> None:
    write_subset(source, "one", ONE)
    write_subset(source, "two", TWO)


def make(folder: Path) -> None:
    write_both(folder / "source")
    run_stages(folder, subset=STAGES, corpus=["text_duplicates"])


@pytest.fixture
def made(pipeline: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    """Return the jobs on a copy of two subsets of which repeats were found."""
    copy_lake(made_once(tmp_path_factory, "text_duplicates", make), pipeline)
    return pipeline


@pytest.fixture
def written(pipeline: Pipeline) -> Pipeline:
    """Return the jobs on the same two subsets, which nothing was made of."""
    write_both(pipeline.settings.source)
    return pipeline


def test_repeats_are_counted_within_and_across_subsets(made: Pipeline) -> None:
    pairs, questions = counts(made, "ALL", "pair"), counts(made, "one", "question")
    assert (pairs["turns"], pairs["texts"], pairs["repeated"], pairs["redundant"]) == (6, 5, 2, 1)
    assert (questions["repeated"], questions["repeated_within"], questions["repeated_across"]) == (4, 4, 2)
    on_image = counts(made, "one", "pair_on_image")
    assert (on_image["repeated"], counts(made, "two", "pair_on_image")["repeated"]) == (2, 0)


def test_near_duplicates_need_the_same_numbers(made: Pipeline) -> None:
    store = made.lake
    near = store.read(store.require("text_duplicates", "all"), "near").to_pylist()
    assert sorted(each["same_numbers"] for each in near) == [False, True]
    assert all(each["similarity"] >= 0.8 and each["answer"] and not each["question"] for each in near)
    answers, pairs = counts(made, "ALL", "answer", "near"), counts(made, "two", "pair", "near")
    assert (answers["repeated"], answers["repeated_across"], pairs["repeated"]) == (2, 2, 1)


def test_a_question_about_many_images_is_a_template(made: Pipeline) -> None:
    few = made.changed(template_images=3)
    run(few)
    questions = counts(few, "ALL", "question")
    assert (questions["templates"], questions["of_templates"], questions["repeated"]) == (1, 3, 2)
    publish(few.lake, few.settings.warehouse_path)
    groups = query(few.settings, "SELECT excerpt, turns, images FROM text_groups WHERE template")
    assert groups == [("What is it?", 3, 3)]
    assert query(few.settings, "SELECT subset, turns, templates, of_templates FROM text_summary") == [
        ("one", 4, 1, 2),
        ("two", 2, 1, 1),
        ("ALL", 6, 1, 3),
    ]


def test_rows_with_all_turns_repeated_are_listed(made: Pipeline) -> None:
    store = made.lake
    rows = store.read(store.require("text_duplicates", "all"), "rows").to_pylist()
    assert rows == [{"subset": "one", "row": 1}]


def test_only_changed_files_are_signed_and_compared_again(made: Pipeline) -> None:
    signed, found = (written_at(made.settings.lake_root, name) for name in ("text_signatures", "text_duplicates"))
    assert run(made, "one", "two").metadata("text_duplicates")["units_reused"] > 0
    assert written_at(made.settings.lake_root, "text_duplicates") == found
    write_subset(made.settings.source, "two", [([3], [("Why?", "Because.")])])
    run(made, "two")
    again = written_at(made.settings.lake_root, "text_signatures")
    assert {name: time for name, time in again.items() if "/one/" in name and name.endswith(".npy")} == {
        name: time for name, time in signed.items() if "/one/" in name and name.endswith(".npy")
    }
    assert counts(made, "ALL", "pair")["repeated"] == 3


def write_benchmark(pipeline: Pipeline, seed: int, question: str) -> None:
    folder = Path(pipeline.settings.source) / "benchmarks" / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    columns: dict[str, Any] = {"image": [{"bytes": image(seed), "path": None}], "question": [question]}
    pq.write_table(pa.table(columns), folder / "test.parquet")


@pytest.mark.nightly
def test_texts_drop_rows_only_if_asked_and_never_what_is_distinct(pipeline: Pipeline) -> None:
    rows: Rows = [
        ([1], [("Why?", "Because."), ("What is it?", "A house.")]),
        ([1], [("Why?", "Because.")]),
        ([2], [("Why?", "Because.")]),
        ([1], [("Why?", "because.")]),
        ([3], [(LONG, "Yes.")]),
        ([4], [("Look!", LONG)]),
        ([3], [("Who?", "I.")]),
    ]
    write_subset(pipeline.settings.source, "one", rows)
    write_benchmark(pipeline, 3, LONG)
    assert pipeline.run("bench", kind=Kind.BENCHMARK).success
    both = pipeline.changed(drop="unreadable,text_contaminated,text_duplicate", copies_by="pixels")
    ran = both.run("one")
    assert ran.success, ran.failures
    published = both.publish()
    assert published.success, published.failures
    assert published.checks["each_row_once"].passed
    dropped = both.query('SELECT "row", reason, witness_kind, witness, witness_row FROM dropped_rows ORDER BY ALL')
    # Rows 2 and 3 have another image or another text.
    assert dropped == [
        (1, "text_duplicate", "subset", "one", 0),
        (4, "text_contaminated", "benchmark", "bench", None),
        (5, "text_contaminated", "benchmark", "bench", None),
    ]
    details = both.query("SELECT detail FROM dropped_rows WHERE reason = 'text_contaminated' ORDER BY \"row\"")
    assert details[0] == ("11 of 11 13-word n-grams of the question of turn 0 are in the benchmark",)
    # Rows 4 and 6 have the image of the benchmark, 4 and 5 its text.
    assert both.query("FROM benchmark_leaks") == [("bench", 2, 2, 1, 1)]
    only_images = pipeline.changed(copies_by="pixels")
    assert only_images.publish().success
    reasons = only_images.query("SELECT DISTINCT reason FROM dropped_rows ORDER BY ALL")
    assert reasons == [("contaminated",), ("duplicate",)]


def test_without_texts_nothing_repeats(pipeline: Pipeline) -> None:
    write_subset(pipeline.settings.source, "none", [([1], []), ([1], [])])
    run(pipeline, "none")
    assert counts(pipeline, "ALL", "pair")["turns"] == 0
    assert counts(pipeline, "ALL", "pair")["share"] is None


def test_of_the_sample_716_of_1221_turns_repeat_a_pair(pipeline: Pipeline) -> None:
    sample = pipeline.changed(source=str(SAMPLE))
    run(sample, *sorted(path.name for path in (SAMPLE / "subsets").iterdir()))
    pairs, questions = counts(sample, "ALL", "pair"), counts(sample, "ALL", "question")
    assert (pairs["turns"], pairs["texts"], pairs["repeated"]) == (1221, 759, 716)
    assert (questions["templates"], questions["of_templates"], questions["repeated"]) == (2, 1221, 0)


@pytest.mark.parametrize(
    ("alone", "line"),
    [
        ((), "text_signatures of 'one' is older than its subset_turns: run `visdiv run one`"),
        (
            ("text_signatures",),
            "text_duplicates of 'all' is older than subset_images of 'one': run `visdiv run --all`",
        ),
    ],
)
def test_texts_found_in_older_rows_drop_nothing(written: Pipeline, alone: tuple[str, ...], line: str) -> None:
    dropping = written.changed(drop="text_duplicate")
    rest = ["subset_images", "subset_turns", "text_contamination", "text_quality", "quality_rows", "sscd_embeddings"]
    color = other_model("color")
    for name in ("one", "two"):
        assert dropping.run(name, only=[*rest, *PAIRS, "text_signatures"], sscd=color).success
    assert dropping.publish(only=["text_duplicates"]).success
    write_subset(written.settings.source, "one", [([5], [("New?", "New.")])], number=1)
    assert dropping.run("one", only=[*rest, *alone], sscd=color).success
    assert dropping.publish(only=["duplicate_clusters"]).failures["duplicate_clusters"] == line


def test_contaminated_texts_of_older_rows_are_refused(written: Pipeline) -> None:
    stages = ["subset_images", "subset_turns", "quality_rows", "sscd_embeddings"]
    color = other_model("color")
    assert written.run("one", only=[*stages, *PAIRS, "text_contamination"], sscd=color).success
    write_subset(written.settings.source, "one", [([5], [("New?", "New.")])], number=1)
    assert written.run("one", only=stages, sscd=color).success
    line = "text_contamination of 'one' is older than its subset_turns: run `visdiv run one`"
    assert written.publish(only=["duplicate_clusters"]).failures["duplicate_clusters"] == line


def test_what_was_not_compared_is_null_in_benchmark_leaks(written: Pipeline) -> None:
    write_benchmark(written, 3, LONG)
    assert written.run("bench", kind=Kind.BENCHMARK, sscd=other_model("color")).success
    assert written.run("one", only=["subset_images", "subset_turns", "text_contamination"]).success
    assert written.publish(only=["warehouse"]).success
    assert written.query("FROM benchmark_leaks") == [("bench", None, 1, None, None)]
