"""The presentation of assets in the UI: groups, owners, tags, columns, tables, lineage."""

from __future__ import annotations

import dagster as dg
import pytest

from visdiv_assets.corpus.tables import NEEDS_OCR, ON_REQUEST
from visdiv_assets.orchestration import presentation
from visdiv_assets.orchestration.code_location import build_definitions
from visdiv_assets.publishing.warehouse.schema import TABLES
from visdiv_assets.settings import Settings
from visdiv_assets_tests.conftest import Pipeline, one_each

ASSETS = [asset for asset in build_definitions(Settings()).assets or [] if isinstance(asset, dg.AssetsDefinition)]
SPECS = {spec.key.to_user_string(): spec for asset in ASSETS for spec in asset.specs}


def columns(asset: str) -> dict[str, str | None]:
    """Return the columns of an asset with their descriptions."""
    schema = SPECS[asset].metadata.get("dagster/column_schema")
    return {column.name: column.description for column in schema.columns} if schema else {}


def test_groups_are_in_the_order_of_the_data() -> None:
    """The UI lists groups by name."""
    group = {name: spec.group_name or "" for name, spec in SPECS.items()}
    backwards = [
        (dep.asset_key.to_user_string(), name)
        for name, spec in SPECS.items()
        for dep in spec.deps
        if group.get(dep.asset_key.to_user_string(), "") > group[name]
    ]
    assert backwards == []
    assert len(set(group.values())) >= 6


@pytest.mark.parametrize("asset", SPECS)
def test_an_asset_has_an_owner_a_tag_and_described_columns(asset: str) -> None:
    assert SPECS[asset].owners
    assert SPECS[asset].tags["visdiv/of"] in ("subset", "benchmark", "corpus")
    assert [name for name, description in columns(asset).items() if not description] == []


def test_tags_name_kinds_of_partitions_and_manual_assets() -> None:
    assert {name: SPECS[name].tags["visdiv/of"] for name in ("maps", "benchmark_texts", "curated_rows")} == {
        "maps": "subset",
        "benchmark_texts": "benchmark",
        "curated_rows": "corpus",
    }
    assert {name for name, spec in SPECS.items() if "visdiv/launch" in spec.tags} == {
        "benchmark_image_texts",
        "calibration",
        "image_listed_words",
        "image_text_leaks",
        "image_texts",
        "judge_ratings",
        "maps",
        "masked_alignment",
    }
    assert {name for name, spec in SPECS.items() if spec.tags.get("visdiv/needs") == "clip"} >= {
        "clip_image_embeddings",
        "alignment",
        "selection_scores",
    }


def test_every_table_of_the_duckdb_file_is_named_by_its_asset() -> None:
    named = {table for tables in presentation.TABLES_OF.values() for table in tables}
    # `visdiv mixture` writes the last; the others are not findings of an asset: publishing lists the skipped files.
    assert {table.name for table in TABLES} - named == {
        "meta",
        "history",
        "provenance",
        "skipped_files",
        "diversity_published",
        "mixture_weights",
    }
    assert {*presentation.TABLES_OF, *presentation.REPORT_OF, *presentation.REPORT_OF.values()} <= set(SPECS)
    assert '`visdiv query "FROM dropped_rows"`: ' in SPECS["curated_rows"].metadata["tables"].value


def test_the_duckdb_file_depends_on_every_asset_in_it() -> None:
    before = {dep.asset_key.to_user_string() for dep in SPECS["warehouse"].deps}
    # A dependency on an asset that is launched by hand would make Dagster warn at every launch.
    assert set(presentation.TABLES_OF) - ON_REQUEST - NEEDS_OCR <= before


def test_no_asset_depends_on_one_that_is_launched_by_hand() -> None:
    assert not {
        name for name, spec in SPECS.items() for dep in spec.deps if dep.asset_key.to_user_string() in ON_REQUEST
    }


@pytest.mark.parametrize("asset", presentation.LINEAGE)
def test_columns_come_from_columns_that_are_there(asset: str) -> None:
    before = {dep.asset_key.to_user_string() for dep in SPECS[asset].deps}
    for column, origins in presentation.LINEAGE[asset].items():
        description = columns(asset)[column] or ""
        for origin, name in origins:
            assert f"{origin}.{name}" in description.partition(" Made from ")[2]
            assert origin in before
            assert name in columns(origin)


def test_a_materialization_says_what_its_columns_are_made_from(pipeline: Pipeline) -> None:
    pipeline.write("one", one_each([0, 1]))
    pipeline.run("one", only=["subset_images", "subset_turns"])
    lineage = pipeline.run("one", only=["quality_rows"]).metadata("quality_rows")["dagster/column_lineage"]
    (dep,) = lineage.deps_by_column["row"]
    assert (dep.asset_key.to_user_string(), dep.column_name) == ("subset_turns", "row")
