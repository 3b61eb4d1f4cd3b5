"""The commands that messages advise exist, take the named options, and do what is needed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from visdiv_assets.cli.command_group import explain
from visdiv_assets.corpus.tables import (
    CORPUS_PARTITION,
    NEEDS_CLIP,
    NEEDS_OCR,
    NEEDS_OCR_AND_CLIP,
    ON_REQUEST,
    TABLES,
    LakeTable,
    PartitionKind,
)
from visdiv_assets.errors import NotMaterializedError
from visdiv_assets.settings import Settings
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import manifest_from_json
from visdiv_assets_tests.cli.conftest import run_visdiv
from visdiv_assets_tests.cli.test_main import refused, visdiv
from visdiv_assets_tests.conftest import one_each, write_shard
from visdiv_assets_tests.storage.helpers import flip
from visdiv_assets_tests.testing.commands import advised_commands

#: Each takes many seconds.
pytestmark = pytest.mark.nightly

NAMES = {PartitionKind.SUBSET: "geoqa+(x)", PartitionKind.BENCHMARK: "bench", PartitionKind.CORPUS: CORPUS_PARTITION}


@pytest.mark.parametrize("table", TABLES)
def test_a_missing_partition_of_any_table_has_a_remedy(table: str) -> None:
    kind = TABLES[table]
    line = explain(NotMaterializedError(table, NAMES[kind]))
    assert line.startswith(f"{table} of {NAMES[kind]!r} is not materialized: ")
    (command,) = advised_commands(line)
    if table == LakeTable.MIXTURE_WEIGHTS:
        assert command == ["mixture"]
    elif table in ON_REQUEST and table != LakeTable.JUDGE_RATINGS:
        assert command == ["ui"]
    elif table in NEEDS_OCR:
        assert command == ["run", "--ocr", "geoqa+(x)" if kind is PartitionKind.SUBSET else "--all"]
    else:
        assert command == ["run", "geoqa+(x)" if kind is PartitionKind.SUBSET else "--all"]
    assert ("VISDIV_CLIP_MODEL" in line) == (table in NEEDS_CLIP | NEEDS_OCR_AND_CLIP)
    assert ("VISDIV_JUDGE_URL" in line) == (table == LakeTable.JUDGE_RATINGS)


@pytest.mark.parametrize(
    "arguments",
    [
        ("export", "--dry-run", "x"),
        ("mixture",),
        ("report",),
        ("query", "SELECT 1"),
        ("search", "a bird"),
        ("search", "--by", "sscd", "--subset", "clipart_people", "a bird"),
        ("select", "k_center", "--k", "1"),
        ("select", "semdedup", "--k", "1"),
        ("select", "--compare", "--fraction", "0.5"),
    ],
    ids=" ".join,
)
def test_on_an_empty_data_folder_a_command_says_what_to_run(arguments: tuple[str, ...], tmp_path: Path) -> None:
    line = refused(visdiv(*arguments, data=tmp_path / "data", VISDIV_CLIP_MODEL=""))
    commands = advised_commands(line)
    assert commands, line
    assert commands[0] == ["run", "clipart_people" if "--subset" in arguments else "--all"]
    assert not (tmp_path / "data").exists()


def test_the_advised_commands_repair_a_damaged_lake(settings: Settings) -> None:
    root = Path(settings.lake_root)
    folders = ("subset_images/some", "benchmark_embeddings/bench", "curated_rows/all")
    for folder in folders:
        for path in (root / folder).glob("*.parquet"):
            path.write_bytes(b"")
    (problem,) = [line for line in run_visdiv(settings, "doctor").output.splitlines() if line[9:14] == "lake "]
    assert problem.startswith("problem")
    commands = advised_commands(problem)
    assert sorted(commands) == [["run", "--all"], ["run", "--all"], ["run", "some"]]
    for folder in folders:
        assert f"remove {root / folder}" in problem
        shutil.rmtree(root / folder)
    for command in (["run", "some"], ["run", "--all"]):
        result = run_visdiv(settings, *command)
        assert result.exit_code == 0, result.output
    (line,) = [line for line in run_visdiv(settings, "doctor").output.splitlines() if line[9:14] == "lake "]
    assert line.startswith("ok")


def test_flipped_bytes_are_not_published_but_made_again(settings: Settings) -> None:
    root = Path(settings.lake_root)
    for path in (*root.glob("near_duplicates/some/*.pairs.parquet"), *root.glob("sscd_embeddings/some/*.npy")):
        flip(path)
    before = (root / "near_duplicates" / "some" / "manifest.json").read_bytes()
    result = run_visdiv(settings, "run", "--all")
    assert result.exit_code == 0, result.output
    (line,) = [line for line in result.stderr.splitlines() if "is missing or damaged" in line]
    assert str(root / "near_duplicates" / "some") in line
    (line,) = [line for line in run_visdiv(settings, "doctor", "--deep").output.splitlines() if line[9:14] == "lake "]
    assert line.startswith("ok")
    after = (root / "near_duplicates" / "some" / "manifest.json").read_bytes()
    assert manifest_from_json(after).digest == manifest_from_json(before).digest


def test_a_damaged_manifest_does_not_block_other_subsets(settings: Settings) -> None:
    root = Path(settings.lake_root)
    damaged = [*root.glob("subset_images/some/manifest.json"), *root.glob("*/all/manifest.json")]
    for path in damaged:
        path.write_bytes(b"{")
    good, bad = run_visdiv(settings, "status").stdout.splitlines()[-2:]
    assert good.startswith("geoqa+(x)  1 image, ")
    assert bad.startswith(f"some       {damaged[0]} is not a manifest of this program")
    result = run_visdiv(settings, "run", "geoqa+(x)")
    assert result.exit_code == 0, result.output
    (line,) = [line for line in run_visdiv(settings, "doctor").output.splitlines() if line[9:14] == "lake "]
    assert line.startswith("ok")


def test_the_advised_command_makes_what_export_needs(settings: Settings) -> None:
    shutil.rmtree(Path(settings.lake_root) / "curated_rows")
    (command,) = advised_commands(refused(run_visdiv(settings, "export", "--dry-run", "x")))
    result = run_visdiv(settings, *command)
    assert result.exit_code == 0, result.output
    assert run_visdiv(settings, "export", "--dry-run", "x").exit_code == 0
    assert Lake(settings.lake_root).partitions(LakeTable.CURATED_ROWS) == [CORPUS_PARTITION]


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("VISDIV_DROP", "unreadable"),
        ("VISDIV_COPIES_BY", "similarity"),
        ("VISDIV_ROW_RULE", "any"),
        ("VISDIV_KEEP_ROWS", "chosen.parquet"),
    ],
)
def test_export_refuses_decisions_of_other_settings(ran_twice: Path, tmp_path: Path, variable: str, value: str) -> None:
    if value.endswith(".parquet"):
        value = str(tmp_path / value)
        pq.write_table(pa.table({"subset": ["some"], "row": [0]}), value)
    source, data = ran_twice / "source", ran_twice / "data"
    line = refused(visdiv("export", str(tmp_path / "clean"), source=source, data=data, **{variable: value}))
    assert variable in line
    assert "changed since rows were decided" in line
    assert ["run", "--all"] in advised_commands(line)
    assert not (tmp_path / "clean").exists()


def test_status_advises_how_to_update_a_changed_subset(settings: Settings) -> None:
    write_shard(settings.source, "geoqa+(x)", one_each([9]), number=1)
    (command,) = advised_commands(run_visdiv(settings, "status").output)
    assert command == ["run", "geoqa+(x)"]


def test_options_that_were_given_are_part_of_the_advice(tmp_path: Path) -> None:
    data = str(tmp_path / "my data")
    (command,) = advised_commands(refused(visdiv("export", "--dry-run", "x", "--data", data)))
    assert command == ["run", "--all", "--data", data]
