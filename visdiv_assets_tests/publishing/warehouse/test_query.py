"""SQL on a DuckDB file as text: table, CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
import tempfile
from pathlib import Path

import duckdb
import pytest

from visdiv_assets.errors import VisdivError
from visdiv_assets.publishing.warehouse.query import ROWS_SHOWN, run_query
from visdiv_assets_tests.storage.helpers import files_below


@pytest.fixture
def numbers(tmp_path: Path) -> Path:
    """A DuckDB file with a table `numbers` of 150 rows."""
    path = tmp_path / "numbers.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE numbers AS SELECT range AS number, 'n' || range AS name FROM range(150)")
    return path


def lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.splitlines()]


class TestQueries:
    def test_a_table_has_a_heading_and_shows_missing_values(self, numbers: Path) -> None:
        shown = run_query(numbers, "SELECT 1 AS one, 'a b' AS text, NULL AS missing, true AS yes, 0.5::DOUBLE AS half")
        heading, rule, row = lines(shown)
        assert heading.split() == ["one", "text", "missing", "yes", "half"]
        assert set(rule) == {"-", " "}
        assert row.split() == ["1", "a", "b", "NULL", "True", "0.5"]

    def test_a_table_stops_after_a_hundred_rows_and_says_so(self, numbers: Path) -> None:
        shown = lines(run_query(numbers, "SELECT name FROM numbers ORDER BY number"))
        assert ROWS_SHOWN == 100
        assert shown[2] == "n0"
        assert shown[-2:] == ["n99", "(the first 100 rows; --format csv gives all)"]
        assert "first" not in run_query(numbers, "SELECT name FROM numbers LIMIT 100")

    @pytest.mark.parametrize("text", ["1e3", "007", "1_000", "12345678901234567890123456789012", "+5", "1.50", "nan"])
    def test_text_that_looks_like_a_number_is_shown_as_it_is(self, numbers: Path, text: str) -> None:
        assert lines(run_query(numbers, f"SELECT '{text}' AS image_id"))[-1].strip() == text

    def test_large_whole_numbers_are_shown_in_full(self, numbers: Path) -> None:
        assert lines(run_query(numbers, "SELECT 1234567890123 AS n"))[-1].strip() == "1234567890123"

    def test_a_long_statement_draws_no_bar_into_the_output(self, numbers: Path) -> None:
        assert lines(run_query(numbers, "SELECT current_setting('enable_progress_bar') AS bar", "csv")) == [
            "bar",
            "False",
        ]

    def test_csv_has_a_heading_and_all_rows(self, numbers: Path) -> None:
        text = run_query(numbers, "SELECT * FROM numbers ORDER BY number", "csv")
        assert text.splitlines()[:3] == ["number,name", "0,n0", "1,n1"]
        assert len(text.splitlines()) == 151
        assert text.endswith("\n")

    def test_csv_quotes_what_needs_it(self, numbers: Path) -> None:
        assert run_query(numbers, "SELECT 'a,\"b\"' AS x, NULL AS y, 'c' AS z", "csv") == 'x,y,z\n"a,""b""",,c\n'

    @pytest.mark.parametrize("text", ["=1+2", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "\uff1d1"])
    def test_csv_has_no_text_that_begins_a_formula(self, numbers: Path, text: str) -> None:
        made = run_query(numbers, f"SELECT '{text}' AS \"{text}\", -1 AS n, -0.5 AS x", "csv")
        assert list(csv.reader(io.StringIO(made, newline=""))) == [[f"'{text}", "n", "x"], [f"'{text}", "-1", "-0.5"]]
        assert json.loads(run_query(numbers, f"SELECT '{text}' AS t", "json"))["t"] == text

    def test_csv_quotes_both_characters_that_end_a_line(self, numbers: Path) -> None:
        made = run_query(numbers, "SELECT 'a' || chr(13) || '=1' AS x, 'b' || chr(10) || '=1' AS y", "csv")
        assert made == 'x,y\n"a\r=1","b\n=1"\n'

    def test_control_characters_do_not_reach_a_terminal(self, numbers: Path) -> None:
        shown = run_query(numbers, "SELECT 'a' || chr(27) || '[2J' AS t, 1 AS \"b\x1b[0m\"")
        assert "\x1b" not in shown
        assert "a\ufffd[2J" in shown

    def test_statements_spill_to_the_folder_for_temporary_files(
        self, numbers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        scratch = tmp_path / "scratch"
        scratch.mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(scratch))
        sql = "SELECT current_setting('temp_directory') AS folder"
        assert Path(json.loads(run_query(numbers, sql, "json"))["folder"]).parent == scratch
        assert list(scratch.iterdir()) == []

    def test_json_is_one_object_a_line(self, numbers: Path) -> None:
        text = run_query(numbers, "SELECT * FROM numbers ORDER BY number", "json")
        records = [json.loads(line) for line in text.splitlines()]
        assert records == [{"number": number, "name": f"n{number}"} for number in range(150)]

    def test_json_holds_other_types_as_text(self, numbers: Path) -> None:
        sql = "SELECT TIMESTAMP '2025-01-02 03:04:05' AS at, [1, 2] AS list, NULL AS nothing, 'é' AS text"
        text = run_query(numbers, sql, "json")
        assert json.loads(text) == {"at": "2025-01-02 03:04:05", "list": [1, 2], "nothing": None, "text": "é"}
        assert "é" in text

    @pytest.mark.parametrize("form", ["text", "csv", "json"])
    def test_no_rows_are_no_error(self, numbers: Path, form: str) -> None:
        shown = run_query(numbers, "SELECT name FROM numbers WHERE number < 0", form)
        assert shown.startswith("" if form == "json" else "name")
        assert "n0" not in shown

    @pytest.mark.parametrize("form", ["text", "csv", "json"])
    def test_of_several_statements_the_last_is_shown(self, numbers: Path, form: str) -> None:
        assert "n7" in run_query(numbers, "SELECT 1; SELECT name FROM numbers WHERE number = 7", form)

    @pytest.mark.parametrize("form", ["text", "csv", "json"])
    @pytest.mark.parametrize("sql", ["", ";", "  ", "-- nothing"])
    def test_no_statement_is_one_line(self, numbers: Path, sql: str, form: str) -> None:
        with pytest.raises(VisdivError):
            run_query(numbers, sql, form)

    @pytest.mark.parametrize(
        ("sql", "part"),
        [
            ("SELEC 1", "syntax error"),
            ("SELECT * FROM nowhere", "nowhere"),
            ("SELECT\nnothing\nFROM numbers", "nothing"),
            ("SELECT 'x'::INTEGER", "Could not convert"),
            ("DROP TABLE numbers", "read-only"),
            ("CREATE TABLE more (a INTEGER)", "read-only"),
        ],
    )
    @pytest.mark.parametrize("form", ["text", "csv", "json"])
    def test_what_duckdb_refuses_is_one_line(self, numbers: Path, sql: str, part: str, form: str) -> None:
        with pytest.raises(VisdivError, match=part) as caught:
            run_query(numbers, sql, form)
        assert str(caught.value).startswith("DuckDB says: ")
        assert len(str(caught.value).splitlines()) == 1

    @pytest.mark.parametrize(
        "sql",
        [
            "FROM read_csv('{other}')",
            "FROM '{other}'",
            "FROM read_text('{other}')",
            "FROM glob('/*')",
            "COPY numbers TO '{new}'",
            "EXPORT DATABASE '{new}'",
            "ATTACH '{new}'",
            "ATTACH '{other}' AS more",
            "INSTALL httpfs",
            "LOAD httpfs",
            "LOAD '{other}'",
            "FROM 'https://example.org/x.parquet'",
            "CREATE SECRET (TYPE s3, KEY_ID 'a', SECRET 'b')",
            "SET enable_external_access = true",
            "SET lock_configuration = false",
            "RESET enable_external_access",
            "SET temp_directory = '/tmp'",
            "SET allowed_configs = ['enable_external_access']",
            "SET GLOBAL autoinstall_known_extensions = true",
            "PRAGMA enable_profiling",
            "SET memory_limit = '100MB'; FROM read_text('{other}')",
        ],
    )
    def test_a_statement_reaches_nothing_but_the_file(self, numbers: Path, tmp_path: Path, sql: str) -> None:
        other, new = tmp_path / "other.csv", tmp_path / "new"
        other.write_text("secret\n1\n")
        with pytest.raises(VisdivError, match="DuckDB says: "):
            run_query(numbers, sql.format(other=other, new=new))
        assert not new.exists()

    def test_a_statement_may_limit_its_memory_and_threads(self, numbers: Path) -> None:
        sql = "SET memory_limit = '200MB'; SET threads = 2; SELECT current_setting('threads') AS threads"
        assert json.loads(run_query(numbers, sql, "json")) == {"threads": 2}

    def test_a_file_that_is_not_there_yet_says_what_to_run(self, tmp_path: Path) -> None:
        with pytest.raises(VisdivError, match="does not exist yet: run `visdiv run --all` first"):
            run_query(tmp_path / "visdiv.duckdb", "SELECT 1")
        assert list(tmp_path.iterdir()) == []

    def test_a_file_of_another_kind_is_one_line(self, tmp_path: Path) -> None:
        path = tmp_path / "visdiv.duckdb"
        path.write_bytes(b"this is no database" * 1000)
        with pytest.raises(VisdivError, match=r"DuckDB says: .*valid DuckDB"):
            run_query(path, "SELECT 1")

    def test_a_query_changes_no_file(self, numbers: Path) -> None:
        before = files_below(numbers.parent)
        run_query(numbers, "SELECT * FROM numbers")
        assert files_below(numbers.parent) == before

    def test_all_forms_return_the_same_rows(self, numbers: Path) -> None:
        sql = "SELECT name, number FROM numbers WHERE number < 2 ORDER BY number"
        records = [json.loads(line) for line in run_query(numbers, sql, "json").splitlines()]
        assert [tuple(record.values()) for record in records] == [("n0", 0), ("n1", 1)]
        assert run_query(numbers, sql, "csv") == "name,number\nn0,0\nn1,1\n"
        assert [line.split() for line in lines(run_query(numbers, sql))[2:]] == [["n0", "0"], ["n1", "1"]]
