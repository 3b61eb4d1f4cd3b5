"""The registry of tables: that it lists the assets, and that the advice for each table is a command that works."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

import click
import pytest

from visdiv_assets.cli.main import main
from visdiv_assets.corpus.tables import (
    CORPUS_PARTITION,
    NEEDS_CLIP,
    NEEDS_OCR,
    ON_REQUEST,
    TABLES,
    LakeTable,
    PartitionKind,
    remedy,
)
from visdiv_assets.orchestration import automation
from visdiv_assets.orchestration.code_location import build_definitions
from visdiv_assets.settings import Settings

NAMES = dict(zip(PartitionKind, ("coco", "mmmu", CORPUS_PARTITION), strict=True))


def command_in(advice: str) -> list[str]:
    """The words of the command that an advice quotes."""
    return shlex.split(advice.split("`")[1])


def make_context(name: str, arguments: Sequence[str]) -> click.Context:
    """Parse the arguments of a command."""
    with click.Context(main, **main.context_settings) as group:
        command = main.get_command(group, name)
        assert command is not None
        return command.make_context(name, list(arguments), parent=group)


def assets_of(job: str) -> set[str]:
    found = build_definitions(Settings()).resolve_job_def(job)
    return {key.to_user_string() for key in found.asset_layer.selected_asset_keys}


def test_every_name_is_a_plain_string() -> None:
    """Dagster refuses to store members of an enum in asset keys."""
    names = [value for name, value in vars(LakeTable).items() if name.isupper()]
    assert {type(name) for name in names} == {str}
    assert sorted(names) == sorted(TABLES)


@pytest.mark.parametrize("table", sorted(TABLES))
def test_the_advice_is_a_command_that_makes_the_table(table: str) -> None:
    kind = TABLES[table]
    program, name, *arguments = command_in(remedy(table, NAMES[kind]))
    assert program == "visdiv"
    make_context(name, arguments)
    if name == "run":
        jobs = {
            PartitionKind.SUBSET: automation.SUBSET_JOB,
            PartitionKind.BENCHMARK: automation.BENCHMARK_JOB,
            PartitionKind.CORPUS: automation.CORPUS_JOB,
        }
        others = {
            # The pages of all benchmarks are made together, after the subsets.
            LakeTable.LEAK_REPORTS: automation.CORPUS_JOB,
            LakeTable.JUDGE_RATINGS: automation.JUDGE_JOB,
            **dict.fromkeys(NEEDS_OCR, automation.OCR_JOB),
            LakeTable.BENCHMARK_IMAGE_TEXTS: automation.BENCHMARK_OCR_JOB,
        }
        # Each publication of the DuckDB file is noted.
        made = "warehouse" if table == LakeTable.PUBLICATIONS else table
        assert made in assets_of(others.get(table, jobs[kind]))
        given = [argument for argument in arguments if argument != "--ocr"]
        assert given == (["coco"] if kind is PartitionKind.SUBSET else ["--all"])


def test_tables_on_request_are_made_in_the_ui() -> None:
    assert {key.to_user_string() for key in automation.BY_HAND} == ON_REQUEST | NEEDS_OCR
    assert remedy(LakeTable.MAPS, "coco") == "materialize maps of 'coco' in `visdiv ui`"
    assert remedy(LakeTable.IMAGE_TEXTS, "coco") == "run `visdiv run --ocr coco`"


def test_the_weights_of_a_mixture_have_a_command_of_their_own() -> None:
    assert remedy(LakeTable.MIXTURE_WEIGHTS, CORPUS_PARTITION) == "run `visdiv mixture`"


@pytest.mark.parametrize("table", sorted(NEEDS_CLIP))
def test_tables_of_clip_name_its_weights(table: str) -> None:
    assert remedy(table, "coco") == "run `visdiv run coco` with CLIP weights in VISDIV_CLIP_MODEL"


@pytest.mark.parametrize("subset", ["coco", "geoqa+(mathv360k)", "it's", "two words", "-x", "--all"])
def test_any_name_of_a_subset_reaches_the_command(subset: str) -> None:
    _, name, *arguments = command_in(remedy(LakeTable.SUBSET_IMAGES, subset))
    context = make_context(name, arguments)
    assert context.params["subsets"] == (subset,)
    assert not any(context.params[flag] for flag in ("every", "changed", "plan", "source", "data"))


def test_an_option_would_not_be_taken_for_a_subset() -> None:
    with pytest.raises(click.UsageError):
        make_context("run", ["-x"])


def test_an_unknown_table_is_an_error() -> None:
    with pytest.raises(ValueError, match="the lake has no table 'nothing'"):
        remedy("nothing", "coco")
