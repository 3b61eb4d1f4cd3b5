"""The contract of the DuckDB file with BI tools, and its vocabulary."""

from __future__ import annotations

import re

import pytest

from visdiv_assets.publishing.warehouse.examples import load_examples, parse_example
from visdiv_assets.publishing.warehouse.schema import TABLES, VIEWS
from visdiv_assets.settings import Settings
from visdiv_assets_tests.publishing.warehouse.schema_snapshot import SNAPSHOT, describe_schema

#: Words of other vocabularies, and British spelling.
FORBIDDEN = re.compile(
    r"pictur|colour|centre|neighbour|normalis|materialis|catalogue|grey|behaviour|recognis|optimis|initialis|licence"
    r"|labell|judgement|verified|benchmark(ed|ing)"
    r"|\b(nobody|everybody|whoever|likewise|mend|so many)\b",
    re.IGNORECASE,
)


def test_the_schema_is_the_recorded_one() -> None:
    """Update it with `python -m visdiv_assets_tests.publishing.warehouse.schema_snapshot`."""
    assert describe_schema() == SNAPSHOT.read_text(encoding="utf-8")


def test_every_table_and_column_has_a_comment() -> None:
    for table in (*TABLES, *VIEWS):
        assert table.comment.endswith("."), table.name
        assert [column.name for column in table.columns if not column.comment.endswith(".")] == []


def test_names_and_comments_use_the_vocabulary() -> None:
    texts = {table.name: table.comment for table in (*TABLES, *VIEWS)}
    texts |= {f"{table.name}.{column.name}": column.comment for table in (*TABLES, *VIEWS) for column in table.columns}
    assert {name: text for name, text in texts.items() if FORBIDDEN.search(f"{name} {text}")} == {}


def test_settings_use_the_vocabulary() -> None:
    texts = {name: field.description or "" for name, field in Settings.model_fields.items()}
    assert {name: text for name, text in texts.items() if FORBIDDEN.search(f"{name} {text}")} == {}


@pytest.mark.parametrize("text", ["a picture", "Colours", "grey", "normalised", "benchmarking", "so many rows"])
def test_forbidden_words_are_found(text: str) -> None:
    assert FORBIDDEN.search(text)


def test_sql_examples_have_a_question_and_use_the_vocabulary() -> None:
    examples = load_examples()
    assert examples
    for example in examples:
        assert example.title.endswith("?"), example.name
        assert example.description.endswith("."), example.name
        assert not FORBIDDEN.search(f"{example.title} {example.description} {example.sql}"), example.name


@pytest.mark.parametrize("text", ["SELECT 1\n\n", "-- Title: One?\nSELECT 1\n", "-- Description: One.\n-- Title: ?\n1"])
def test_an_example_without_title_or_description_is_rejected(text: str) -> None:
    with pytest.raises(ValueError, match=r"some\.sql does not begin with"):
        parse_example("some", text)
