"""The SQL examples that answer what a person asks first, on a made-up corpus whose answers are known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from visdiv_assets.publishing.warehouse.examples import load_examples
from visdiv_assets.publishing.warehouse.query import run_query
from visdiv_assets.publishing.warehouse.schema import TABLES, VIEWS

A, B, C, D, E = (f"{number:032x}" for number in range(5))

#: Rows of each table. `charts` has the worst leak; by the mean over all rules and thresholds, `photos` would have it.
CORPUS: dict[str, list[dict[str, Any]]] = {
    "subsets": [
        {"subset": "charts", "category": "Chart & Table", "rows": 4, "images": 4, "images_unreadable": 0},
        {"subset": "photos", "rows": 2, "images": 2, "images_unreadable": 1},
    ],
    "benchmarks": [
        {"benchmark": "exam", "rows": 3, "images": 4, "images_unreadable": 0},
        {"benchmark": "quiz", "rows": 9, "images": 9, "images_unreadable": 1},
    ],
    "rows": [
        {"subset": "charts", "row": 0, "kept": True, "rating": 5.0, "relevance": 5.0},
        {
            "subset": "charts",
            "row": 1,
            "file": "one.parquet",
            "row_in_file": 1,
            "kept": False,
            "reason": "duplicate",
            "witness": "photos",
            "witness_row": 0,
            "rating": 2.0,
            "question": "How many bars?",
            "answer": "Three.",
        },
        {
            "subset": "charts",
            "row": 2,
            "file": "two.parquet",
            "row_in_file": 0,
            "kept": False,
            "reason": "contaminated",
            "witness": "exam",
            "witness_row": 1,
            "question": "What is shown?",
        },
        {"subset": "charts", "row": 3, "kept": True, "rating": 5.0, "relevance": 3.0},
        {"subset": "photos", "row": 0, "kept": True, "rating": 1.0},
        {"subset": "photos", "row": 1, "file": "a.jpg", "row_in_file": 0, "kept": False, "reason": "unreadable"},
    ],
    "images": [
        *(
            {"subset": "charts", "row": row, "image_id": name, "format": "png", "width": 100 + row, "height": 50}
            for row, name in enumerate((A, B, C, D))
        ),
        {"subset": "photos", "row": 0, "image_id": E, "format": "jpeg", "width": 300, "height": 200},
        {"subset": "photos", "row": 1, "format": "gif", "width": 9, "height": 9, "status": "truncated"},
    ],
    "image_types": [
        *(
            {"subset": "charts", "row": row, "image_id": name, "type": "chart"}
            for row, name in ((0, A), (1, B), (2, C))
        ),
        {"subset": "charts", "row": 3, "image_id": D},
        {"subset": "photos", "row": 0, "image_id": E, "type": "photo"},
        {"subset": "photos", "row": 0, "image_id": E, "type": "map", "method": "clip"},
    ],
    "contamination_pairs": [
        {"subset": "charts", "row": 2, "image_id": C, "benchmark_row": 1, "benchmark_image_id": A},
        {"subset": "charts", "row": 3, "image_id": D, "benchmark_row": 1, "benchmark_image_id": A},
        {"subset": "photos", "row": 0, "image_id": E, "benchmark_row": 1, "benchmark_image_id": A},
        {"subset": "photos", "row": 0, "image_id": E, "benchmark_row": 2, "benchmark_image_id": B},
        {"subset": "charts", "row": 0, "benchmark_row": 0, "benchmark_image_id": D, "verdict": "rejected"},
    ],
    "contamination_rates": [
        {"subset": subset, "benchmark": benchmark, "rule": rule, "threshold": threshold, "rate": rate}
        for subset, confirmed, similar in (("charts", 0.5, 0.5), ("photos", 0.4, 0.9))
        for benchmark, times in (("exam", 1.0), ("quiz", 0.5), ("ALL", 1.0))
        for rule, threshold, rate in (
            ("confirmed", None, confirmed * times),
            ("similarity", 0.75, similar * times),
            ("similarity", 0.95, similar * times),
        )
    ],
    "duplicate_clusters": [
        {"subset": "charts", "row": 1, "image_id": B, "reason": "near_copy", "evidence": "cropped"},
        {"subset": "photos", "row": 0, "image_id": E, "reason": "best", "keep": True},
    ],
    "history": [
        {"days": days, "subset": subset, "rows_clean": rows, "images_duplicate": 3, "images_contaminated": 4}
        for days, subset, rows in ((90, "charts", 0), (40, "charts", 1), (2, "charts", 9), (2, "photos", 2))
    ],
}
DEFAULTS: dict[str, dict[str, Any]] = {
    "images": {"image_index": 0, "status": "ok", "size_bytes": 1500},
    "contamination_pairs": {
        "image_index": 0,
        "benchmark": "exam",
        "benchmark_image_index": 0,
        "benchmark_positions": 1,
        "verdict": "confirmed",
    },
    "duplicate_clusters": {"image_index": 0, "keep": False},
    "image_types": {"image_index": 0, "method": "features", "score": 0.9},
}


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("questions") / "visdiv.duckdb"
    with duckdb.connect(str(path)) as connection:
        for table in (*TABLES, *VIEWS):
            connection.execute(table.create_statement())
        for name, records in CORPUS.items():
            given = pa.Table.from_pylist(
                [dict.fromkeys({key for each in records for key in each}) | DEFAULTS.get(name, {}) | r for r in records]
            )
            connection.register("given", given)
            columns = "* EXCLUDE (days), now() - to_days(days) AS published_at" if name == "history" else "*"
            connection.execute(f'INSERT INTO "{name}" BY NAME SELECT {columns} FROM given')
            connection.unregister("given")
    return path


def answer(warehouse: Path, name: str) -> list[dict[str, Any]]:
    """Return the rows of an example, by the names of its columns."""
    (sql,) = (example.sql for example in load_examples() if example.name == name)
    return [json.loads(line) for line in run_query(warehouse, sql, "json").splitlines()]


ANSWERS: dict[str, list[dict[str, Any]]] = {
    "rows_kept": [
        {"subset": "charts", "rows": 4, "rows_clean": 2, "kept %": 50.0},
        {"subset": "photos", "rows": 2, "rows_clean": 1, "kept %": 50.0},
    ],
    "drop_reasons": [
        {"reason": "unreadable", "rows": 1, "subsets": 1},
        {"reason": "contaminated", "rows": 1, "subsets": 1},
        {"reason": "duplicate", "rows": 1, "subsets": 1},
    ],
    "image_sizes": [
        {
            "subset": "charts",
            "images": 4,
            "width_min": 100,
            "width_median": 101.5,
            "width_max": 103,
            "height_min": 50,
            "height_median": 50.0,
            "height_max": 50,
        },
        {
            "subset": "photos",
            "images": 1,
            "width_min": 300,
            "width_median": 300.0,
            "width_max": 300,
            "height_min": 200,
            "height_median": 200.0,
            "height_max": 200,
        },
    ],
    "image_formats": [
        {"format": "png", "images": 4, "bytes": 6000, "mean kB": 1.5},
        {"format": "jpeg", "images": 1, "bytes": 1500, "mean kB": 1.5},
    ],
    "benchmarks": [
        {
            "benchmark": "exam",
            "rows": 3,
            "images": 4,
            "images_leaked": 2,
            "leaked %": 50.0,
            "top_subsets": "photos (2), charts (1)",
        },
        {"benchmark": "quiz", "rows": 9, "images": 9, "images_leaked": 0, "leaked %": 0.0, "top_subsets": None},
    ],
    "most_leaked_images": [
        {"benchmark": "exam", "benchmark_row": 1, "benchmark_image_index": 0, "copies": 3, "subsets": 2},
        {"benchmark": "exam", "benchmark_row": 2, "benchmark_image_index": 0, "copies": 1, "subsets": 1},
    ],
    "copies_by_type": [
        {"type": "chart", "images": 3, "copies": 1, "leaked": 1},
        {"type": "photo", "images": 1, "copies": 0, "leaked": 1},
        {"type": "unknown", "images": 1, "copies": 0, "leaked": 1},
    ],
    "image_types": [
        {"subset": "charts", "type": "chart", "images": 3, "percent": 75.0},
        {"subset": "charts", "type": "unknown", "images": 1, "percent": 25.0},
        {"subset": "photos", "type": "photo", "images": 1, "percent": 100.0},
    ],
    "dropped_rows": [
        {
            "subset": "charts",
            "file": "one.parquet",
            "row_in_file": 1,
            "reason": "duplicate",
            "witness": "photos",
            "witness_row": 0,
            "question": "How many bars?",
            "answer": "Three.",
        },
        {
            "subset": "charts",
            "file": "two.parquet",
            "row_in_file": 0,
            "reason": "contaminated",
            "witness": "exam",
            "witness_row": 1,
            "question": "What is shown?",
            "answer": None,
        },
        {
            "subset": "photos",
            "file": "a.jpg",
            "row_in_file": 0,
            "reason": "unreadable",
            "witness": None,
            "witness_row": None,
            "question": None,
            "answer": None,
        },
    ],
    "quality_by_category": [
        {
            "category": category,
            "rows_rated": rated,
            "rating": rating,
            "relevance": relevance,
            "image_correspondence": None,
            "visual_dependency": None,
            "formatting": None,
        }
        for category, rated, rating, relevance in (("other", 1, 1.0, None), ("Chart & Table", 3, 4.0, 4.0))
    ],
    "copies_by_evidence": [{"subset": "charts", "evidence": "cropped", "images": 1}],
}


@pytest.mark.parametrize("question", ANSWERS)
def test_a_question_has_the_known_answer(warehouse: Path, question: str) -> None:
    assert answer(warehouse, question) == ANSWERS[question]


def test_improvement_compares_with_last_month(warehouse: Path) -> None:
    charts, photos = answer(warehouse, "improvement")
    assert (charts["clean_before"], charts["rows_clean"]) == (1, 2)
    assert (charts["duplicate_before"], charts["images_duplicate"]) == (3, 1)
    # It was first published two days ago.
    assert (photos["before"], photos["clean_before"], photos["rows_clean"]) == (None, None, 1)


def test_the_mean_contamination_names_the_worst_subset(warehouse: Path) -> None:
    worst = "SELECT subset FROM {} GROUP BY subset ORDER BY avg(rate) DESC LIMIT 1"
    assert run_query(warehouse, worst.format("contamination"), "csv") == "subset\ncharts\n"
    assert run_query(warehouse, worst.format("contamination_rates"), "csv") == "subset\nphotos\n"
    assert [row["mean %"] for row in answer(warehouse, "contamination")] == [37.5, 30.0]


def test_a_summary_has_null_for_what_was_not_computed(warehouse: Path) -> None:
    sql = "SELECT rows_clean, images_duplicate, images_contaminated, diversity FROM subset_summary ORDER BY subset"
    assert [json.loads(line) for line in run_query(warehouse, sql, "json").splitlines()] == [
        {"rows_clean": 2, "images_duplicate": 1, "images_contaminated": None, "diversity": None},
        {"rows_clean": 1, "images_duplicate": 0, "images_contaminated": None, "diversity": None},
    ]


def test_no_table_or_view_has_columns_of_lists() -> None:
    # ODBC, Power BI and Superset cannot show them.
    types = {f"{table.name}.{column.name}": column.type for table in (*TABLES, *VIEWS) for column in table.columns}
    assert [name for name, kind in types.items() if kind.endswith("]") or "STRUCT" in kind or "MAP" in kind] == []
