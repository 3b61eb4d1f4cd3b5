"""The `visdiv` command: its help, settings and errors, and the commands run, status and query on small subsets."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from visdiv_assets.cli.command_group import INCOMPLETE, REFUSED, STOPPED
from visdiv_assets.cli.main import COMMANDS, SECTIONS, main
from visdiv_assets.settings import Settings
from visdiv_assets_tests.conftest import SAMPLE, clean_environment, one_each, write_shard
from visdiv_assets_tests.testing.commands import advised_commands

SUBSETS = ("clipart_nature", "clipart_people", "clipart_things")


def visdiv(*arguments: str, source: str | Path = SAMPLE, data: str | Path = "/nowhere", **variables: str) -> Result:
    """Run the command with the given settings only."""
    given = {"VISDIV_SOURCE": str(source), "VISDIV_DATA": str(data), "VISDIV_DEVICE": "cpu", **variables}
    with clean_environment(**given):
        return CliRunner().invoke(main, list(arguments))


def refused(result: Result, *, code: int = 2) -> str:
    """Return the one line with which a command fails, beside lines of progress, which a slow machine shows."""
    assert result.exit_code == code, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    (line,) = [line for line in result.stderr.splitlines() if " · " not in line]
    assert line.startswith("visdiv: ")
    advised_commands(line)
    return line.removeprefix("visdiv: ")


# Arguments -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "parts"),
    [
        (
            "run",
            ("[SUBSET]...", "--all", "every benchmark and subset of the source", "resumes when it is started again"),
        ),
        ("status", ("results of each subset", "files have changed", "--source", "--data")),
        ("query", ("SQL", "read-only", "SHOW TABLES", "[text|csv|json]", "default: text")),
        ("ui", ("--port", "default: 3000", "--host", "default: 127.0.0.1")),
        ("settings", ("environment variable", "visdiv.toml")),
        ("report", ("opens from disk", "--open", "--no-images")),
    ],
)
def test_help_explains_a_command(command: str, parts: tuple[str, ...]) -> None:
    result = visdiv(command, "--help")
    assert result.exit_code == 0
    text = " ".join(result.output.split())
    assert text.startswith(f"Usage: main {command} ")
    assert [part for part in parts if part not in text] == []


def test_the_help_lists_all_commands_with_examples() -> None:
    output = visdiv("--help").output
    titles = [output.index(f"\n{title}:\n") for title in SECTIONS]
    assert titles == sorted(titles)
    assert all(f"\n    {code} " in output for code in (0, INCOMPLETE, REFUSED, STOPPED))
    words = " ".join(output.split())
    for command, summary in COMMANDS.items():
        assert f"\n  {command} " in output
        assert f"{command} {summary}" in words
    assert "visdiv run --all" in output
    assert 'visdiv query "SELECT * FROM subsets"' in output
    assert "VISDIV_SOURCE" in output
    assert "VISDIV_DATA" in output


def test_help_does_not_need_valid_settings() -> None:
    assert visdiv("--help", VISDIV_SORCE="x").exit_code == 0
    assert visdiv("run", "--help", VISDIV_SORCE="x").exit_code == 0


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_in_the_module_of_its_name(name: str) -> None:
    with click.Context(main, **main.context_settings) as context:
        command = main.get_command(context, name)
    assert command is not None
    assert command.name == name
    assert command.callback is not None
    assert command.callback.__module__ == f"visdiv_assets.cli.{name}"
    assert (command.help or "").split("\n\n")[0] == COMMANDS[name]
    assert f"\n  visdiv {name}" in (command.epilog or "") or name == "ui"
    assert {"source", "data"} <= {parameter.name for parameter in command.params}
    assert visdiv(name, "-h").exit_code == 0


def test_the_help_imports_no_command() -> None:
    script = (
        "import sys; from visdiv_assets.cli.main import main; main(['--help'], standalone_mode=False);"
        "print([name for name in ('dagster', 'numpy', 'pyarrow', 'pydantic') if name in sys.modules], file=sys.stderr)"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stderr == "[]\n"


def test_python_runs_the_package() -> None:
    ran = subprocess.run([sys.executable, "-m", "visdiv_assets", "-h"], capture_output=True, text=True, check=True)
    assert ran.stdout.startswith("Usage: python -m visdiv_assets ")


def test_a_mistyped_command_is_refused_with_the_closest() -> None:
    result = visdiv("serch")
    assert result.exit_code == 2
    assert result.stderr.endswith("Error: no command 'serch': did you mean search?\n")
    assert visdiv("nothing").stderr.endswith("Error: no command 'nothing'\n")


def test_options_override_variables_and_are_repeated(tmp_path: Path) -> None:
    data = tmp_path / "my data"
    result = visdiv("settings", "--source", "/here", "--data", str(data), data="/nowhere")
    assert "VISDIV_SOURCE = '/here'\n" in result.output
    assert f"VISDIV_DATA = '{data}'\n" in result.output
    line = refused(visdiv("query", "SELECT 1", "--data", str(data)))
    assert line.endswith(f"does not exist yet: run `visdiv run --all --data '{data}'` first")
    assert refused(visdiv("status", "--source", "")).startswith("invalid value for --source: ''")


def test_options_may_stand_before_the_command(tmp_path: Path) -> None:
    output = visdiv("--source", "/before", "--data", "/before", "settings", "--data", str(tmp_path)).output
    assert "VISDIV_SOURCE = '/before'\n" in output
    assert f"VISDIV_DATA = '{tmp_path}'\n" in output
    line = refused(visdiv("--data", str(tmp_path), "query", "SELECT 1"))
    assert line.endswith(f"run `visdiv run --all --data {tmp_path}` first")


@pytest.mark.parametrize(
    "arguments", [(), ("--all", "clipart_people"), ("--all", "--changed")], ids=["none", "a name too", "both"]
)
def test_run_needs_either_names_or_an_option(arguments: tuple[str, ...], tmp_path: Path) -> None:
    result = visdiv("run", *arguments, data=tmp_path / "data")
    assert result.exit_code == 2
    assert "Error: name the subsets to run, or --all, or --changed" in result.stderr
    assert not (tmp_path / "data").exists()


def test_an_unknown_subset_is_refused_with_what_was_meant(tmp_path: Path) -> None:
    line = refused(visdiv("run", "clipart_people", "clipart_thing", data=tmp_path / "data"))
    assert "has no 'clipart_thing' among its subsets: did you mean 'clipart_things'" in line
    assert refused(visdiv("run", "nature", data=tmp_path / "data")).endswith("did you mean 'clipart_nature'?")
    line = refused(visdiv("run", "dogs", data=tmp_path / "data"))
    assert line.endswith("it has clipart_nature, clipart_people, clipart_things")
    line = refused(visdiv("run", "clipart_bench", data=tmp_path / "data"))
    assert line.startswith("'clipart_bench' is a benchmark of ")
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("arguments", [("run", "--all"), ("status",)])
def test_a_missing_source_is_named(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    line = refused(visdiv(*arguments, source="/no/such/folder", data=tmp_path / "data"))
    assert line.startswith("there is no folder '/no/such/folder'")


@pytest.mark.parametrize("arguments", [("run", "--all"), ("query", "SELECT 1"), ("settings",)])
@pytest.mark.parametrize(
    ("name", "value", "beginning"),
    [
        ("VISDIV_SORCE", "x", "VISDIV_SORCE is not a setting: did you mean VISDIV_SOURCE?"),
        ("VISDIV_THREADS", "many", "invalid value for VISDIV_THREADS: 'many' ("),
        ("VISDIV_DEVICE", "gpu", "invalid value for VISDIV_DEVICE: 'gpu' (use auto, cpu, cuda, cuda:N or cuda:all)"),
    ],
)
def test_an_invalid_setting_is_refused_in_one_line(
    tmp_path: Path, arguments: tuple[str, ...], name: str, value: str, beginning: str
) -> None:
    line = refused(visdiv(*arguments, data=tmp_path / "data", **{name: value}))
    assert line.startswith(beginning)


@pytest.mark.parametrize("arguments", [("run", "clipart_people"), ("status",), ("query", "SELECT 1")])
def test_a_data_folder_that_is_a_file_is_named(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    (tmp_path / "data").write_bytes(b"")
    assert str(tmp_path / "data") in refused(visdiv(*arguments, data=tmp_path / "data"))


# Settings ------------------------------------------------------------------------------------------------------------


def test_settings_lists_values_and_descriptions(tmp_path: Path) -> None:
    result = visdiv("settings", data=tmp_path, VISDIV_THREADS="3")
    assert result.exit_code == 0
    for name, field in Settings.model_fields.items():
        assert f"\nVISDIV_{name.upper()} = " in f"\n{result.output}"
        assert " ".join(str(field.description).split()) in " ".join(result.output.split())
    assert "VISDIV_THREADS = 3\n" in result.output
    assert f"VISDIV_DATA = '{tmp_path}'\n" in result.output
    assert f"DAGSTER_HOME = '{tmp_path}/dagster'\n" in result.output
    assert "VISDIV_CONFIG = ''\n" in result.output


def test_settings_shows_the_dagster_home_that_is_set(tmp_path: Path) -> None:
    assert f"DAGSTER_HOME = '{tmp_path}'\n" in visdiv("settings", DAGSTER_HOME=str(tmp_path)).output


# Before any run ------------------------------------------------------------------------------------------------------


def test_status_before_any_run_lists_the_subsets(tmp_path: Path) -> None:
    result = visdiv("status", data=tmp_path / "data")
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert lines[:2] == [f"source  {SAMPLE}", f"data    {tmp_path / 'data'}"]
    assert lines[2:] == ["not read: truth.json", *(f"{subset}  not materialized" for subset in SUBSETS)]
    assert not (tmp_path / "data").exists()


def test_a_query_before_any_run_says_what_to_run(tmp_path: Path) -> None:
    line = refused(visdiv("query", "SELECT 1", data=tmp_path))
    assert line == f"{tmp_path}/visdiv.duckdb does not exist yet: run `visdiv run --all` first"


# A small subset of several, run once ---------------------------------------------------------------------------------


@pytest.fixture
def source(ran_part: Path) -> Path:
    return ran_part / "source"


@pytest.fixture
def data(ran_part: Path) -> Path:
    return ran_part / "data"


@pytest.fixture
def printed(ran_part: Path) -> list[str]:
    return (ran_part / "stdout").read_text(encoding="utf-8").splitlines()


def test_run_ends_with_a_summary(printed: list[str]) -> None:
    assert printed[0].startswith("done   bench  ")
    assert printed[1].startswith("done   geoqa+(x)  ")
    assert "  4 images embedded, " in printed[1]
    assert printed[2].startswith("done   all subsets together  ")
    (heading,) = [index for index, line in enumerate(printed) if line.split()[:2] == ["subset", "rows"]]
    names, values = (re.split(r"\s{2,}", printed[line]) for line in (heading, heading + 2))
    summary = dict(zip(names, values, strict=True))
    assert float(summary.pop("effective rank")) > 1
    assert float(summary.pop("score")) > 0
    assert summary == {
        "subset": "geoqa+(x)",
        "rows": "4",
        "images": "6",
        "unreadable": "1",
        "exact copies": "1",
        "near duplicates": "1",
    }


def test_run_ends_with_a_query_that_works(printed: list[str], data: Path) -> None:
    (suggested,) = [line for line in printed if line.strip().startswith("visdiv query")]
    result = visdiv("query", suggested.split('"')[1], data=data)
    assert result.exit_code == 0
    assert "exact" in result.output


def test_run_writes_to_the_data_folder_only(ran_part: Path) -> None:
    assert {entry.name for entry in ran_part.iterdir()} == {"source", "data", "stdout"}
    assert {entry.name for entry in (ran_part / "data").iterdir()} >= {"lake", "visdiv.duckdb", "dagster"}
    assert {path.suffix for path in (ran_part / "source").rglob("*") if path.is_file()} == {".parquet"}


def test_status_after_a_run_counts_what_there_is(source: Path, data: Path) -> None:
    lines = visdiv("status", source=source, data=data).output.splitlines()
    assert lines[2].startswith("geoqa+(x)  6 images, 1 unreadable, 4 embedded, 1 close pair, 20")
    assert "changed" not in lines[2]
    assert lines[3:] == [f"{subset}        not materialized" for subset in ("one", "two")]


def test_status_shows_changed_and_vanished_subsets(source: Path, data: Path, tmp_path: Path) -> None:
    copied = tmp_path / "source"
    shutil.copytree(source, copied)
    write_shard(copied, "geoqa+(x)", one_each([9]), number=1)
    changed = visdiv("status", source=copied, data=data).output.splitlines()
    assert changed[2].endswith(", files changed: run `visdiv run 'geoqa+(x)'`")
    shutil.rmtree(copied / "subsets" / "geoqa+(x)")
    vanished = visdiv("status", source=copied, data=data).output.splitlines()
    assert vanished[2].endswith(", no longer in the source")


def test_a_query_is_printed_as_a_table_by_default(data: Path) -> None:
    lines = visdiv("query", "SELECT row, status, width FROM images ORDER BY row, image_index", data=data).output
    rows = [line.split() for line in lines.splitlines()]
    assert rows[0] == ["row", "status", "width"]
    assert rows[2] == ["0", "ok", "64"]
    assert rows[-1] == ["3", "not_an_image", "NULL"]
    assert len(rows) == 2 + 6


def test_a_long_table_says_that_there_is_more(data: Path) -> None:
    table = visdiv("query", "SELECT range AS n FROM range(150)", data=data).output.splitlines()
    assert len(table) == 2 + 100 + 1
    assert table[-1] == "(the first 100 rows; --format csv gives all)"
    assert len(visdiv("query", "--format", "csv", "FROM range(150)", data=data).output.splitlines()) == 151


def test_an_example_is_run_by_its_name(data: Path) -> None:
    output = visdiv("query", "--format", "csv", "--example", "rows_kept", data=data).output
    assert output.splitlines()[0] == "subset,rows,rows_clean,kept %"


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("--example", "nothing"), "there is no example 'nothing': use one of benchmarks, "),
        ((), "give SQL, or the name of an example with --example"),
        (("SELECT 1", "--example", "rows_kept"), "give SQL, or the name of an example with --example"),
    ],
)
def test_a_query_needs_sql_or_a_known_example(data: Path, arguments: tuple[str, ...], part: str) -> None:
    result = visdiv("query", *arguments, data=data)
    assert result.exit_code != 0
    assert part in result.output


def test_a_query_as_csv_can_be_read_back(data: Path) -> None:
    sql = "SELECT 'a, \"b\"' AS text, NULL AS nothing, row FROM images ORDER BY row LIMIT 1"
    output = visdiv("query", "--format", "csv", sql, data=data).output
    assert list(csv.reader(io.StringIO(output))) == [["text", "nothing", "row"], ['a, "b"', "", "0"]]


def test_a_query_as_json_is_one_object_a_line(data: Path) -> None:
    sql = "SELECT subset, images, materialized_at, NULL AS nothing FROM subsets"
    (line,) = visdiv("query", "--format", "json", sql, data=data).output.splitlines()
    record = json.loads(line)
    assert (record["subset"], record["images"], record["nothing"]) == ("geoqa+(x)", 6, None)
    assert record["materialized_at"].startswith("20")


@pytest.mark.parametrize(
    ("sql", "part"),
    [
        ("SELECT nothing FROM images", "nothing"),
        ("SELEC 1", "SELEC"),
        ("DELETE FROM images", "read-only"),
        ("SELECT * FROM no_such_table", "no_such_table"),
    ],
)
def test_an_error_in_sql_is_one_line_above_its_place(data: Path, sql: str, part: str) -> None:
    result = visdiv("query", sql, data=data)
    line, *place = result.stderr.splitlines()
    assert result.exit_code == 2
    assert line.startswith("visdiv: DuckDB says: ")
    assert part in line
    if place:
        shown, caret = place
        assert shown == f"LINE 1: {sql}"
        assert shown[caret.index("^") :].startswith(part)
    else:
        assert part == "read-only"


def test_the_help_of_query_names_statements_that_work(data: Path) -> None:
    tables = visdiv("query", "SHOW TABLES", data=data).output
    assert "images" in tables.split()
    sql = "SELECT column_name, comment FROM duckdb_columns() WHERE table_name = 'images'"
    assert "Width in pixels" in visdiv("query", sql, data=data).output


def test_a_second_run_reuses_finished_work(ran_all: Path) -> None:
    lines = (ran_all / "stdout").read_text(encoding="utf-8").splitlines()
    for line, name in zip(lines[:2], ("bench", "geoqa+(x)"), strict=True):
        assert line.startswith(f"done   {name}  ")
        assert line.endswith("  nothing to embed")
    for line, name, embedded in zip(lines[2:4], ("one", "two"), (6, 3), strict=True):
        assert line.startswith(f"done   {name}  ")
        assert f"  {embedded} images embedded" in line
    found = visdiv("query", "--format", "csv", "SELECT subset FROM subsets ORDER BY ALL", data=ran_all / "data").output
    assert found.splitlines() == ["subset", "geoqa+(x)", "one", "two"]


@pytest.mark.nightly
def test_run_changed_runs_changed_subsets_only(source: Path, data: Path, tmp_path: Path) -> None:
    copied, elsewhere = tmp_path / "source", tmp_path / "data"
    shutil.copytree(source, copied)
    shutil.copytree(data, elsewhere)
    first = visdiv("run", "--changed", source=copied, data=elsewhere)
    assert first.exit_code == 0, first.output
    assert first.stdout.startswith("done   all subsets together  ")
    write_shard(copied, "geoqa+(x)", one_each([9]), number=1)
    lines = visdiv("run", "--changed", source=copied, data=elsewhere).stdout.splitlines()
    assert lines[0].startswith("done   geoqa+(x)  ")
    assert "1 image embedded" in lines[0]
    assert lines[1].startswith("done   all subsets together")


def test_run_changed_refuses_a_new_project(source: Path, tmp_path: Path) -> None:
    assert "no subset is materialized yet" in refused(visdiv("run", "--changed", source=source, data=tmp_path / "data"))
    assert not (tmp_path / "data").exists()


# A run of which a part fails -----------------------------------------------------------------------------------------


@pytest.fixture
def half_broken(tmp_path: Path) -> tuple[Path, Path]:
    """Return a source with a good subset and one whose file is not Parquet, and a data folder."""
    write_shard(tmp_path / "source", "good", one_each([0, 1]))
    write_shard(tmp_path / "source", "broken", one_each([2])).write_bytes(b"<html>")
    return tmp_path / "source", tmp_path / "data"


@pytest.mark.nightly
def test_a_failed_subset_is_named_and_the_others_run(half_broken: tuple[Path, Path]) -> None:
    source, data = half_broken
    result = visdiv("run", "--all", source=source, data=data)
    line = refused(result, code=1)
    assert line.startswith("1 of 3 runs failed (broken): the lines above say why")
    failed, good, together = result.stdout.splitlines()
    assert failed.startswith("FAILED broken  ")
    assert "subset_pass: " in failed
    assert "train-00000.parquet is not a readable Parquet file" in failed
    assert good.startswith("done   good  ")
    assert together.startswith("done   all subsets together  ")
    assert visdiv("query", "--format", "csv", "SELECT subset FROM subsets", data=data).output == "subset\ngood\n"


@pytest.mark.nightly
def test_a_run_that_makes_no_subset_publishes_nothing(half_broken: tuple[Path, Path]) -> None:
    source, data = half_broken
    result = visdiv("run", "broken", source=source, data=data)
    assert refused(result, code=1).startswith("2 of 2 runs failed (broken, all subsets together)")
    assert "no subset of the source is materialized, so nothing is published" in result.stdout
    assert not (data / "visdiv.duckdb").exists()
