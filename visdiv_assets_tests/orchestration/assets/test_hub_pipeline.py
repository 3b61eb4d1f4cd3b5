"""The same rows from the Hub and from a folder make the same tables, however often the Hub fails."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from visdiv_assets.corpus.tables import LakeTable
from visdiv_assets.orchestration.partitions import PARTITIONS, add_missing_keys
from visdiv_assets.settings import Settings
from visdiv_assets.sources import HubSource, Kind, opening
from visdiv_assets.sources.catalog import BENCHMARK_COLUMNS
from visdiv_assets.wiring import open_source
from visdiv_assets_tests.conftest import SAMPLE, Pipeline, image, other_model
from visdiv_assets_tests.testing.hub_server import FAULTS, HubServer, folder_files, serving

SUBSETS = ("clipart_nature", "clipart_people", "clipart_things")
BENCHMARK = "lmms-lab-clipart_test"
URI = "hf://datasets/HuggingFaceM4/FineVision"

#: Rows of each file that are taken from the sample's.
ROWS = 10

#: Columns with the time, run and source of rows, which may differ.
MAY_DIFFER = ("materialized_at", "run_id", "settings")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """A Hub server that the sources of the product connect to."""
    monkeypatch.setenv("no_proxy", "*")
    with serving() as server:
        monkeypatch.setattr(
            opening, "HubSource", lambda uri, **arguments: HubSource(uri, client=server.client(), **arguments)
        )
        yield server


def catalog(folder: Path) -> str:
    """Write a catalog of one benchmark, and return its path."""
    cells = {"list": "finevision66", "hub_id": "lmms-lab/clipart", "split": "test"}
    file = folder / "benchmarks.csv"
    file.write_text("\n".join([",".join(BENCHMARK_COLUMNS), ",".join(cells.get(c, "") for c in BENCHMARK_COLUMNS)]))
    return str(file)


def hub_settings(folder: Path) -> Settings:
    """Return settings that compare the pixels of few images, the slowest step."""
    return Settings(
        source=URI,
        data=str(folder / "from_hub"),
        device="cpu",
        copies_by="similarity",
        benchmark_catalog=catalog(folder),
        candidate_floor=0.99,
        candidates_kept=1,
        pdq_distance=2,
    )


def write_small_sample(folder: Path) -> None:
    """Write the first rows of the sample as a folder source, with the benchmark under its name on the Hub."""
    for file in sorted(SAMPLE.rglob("*.parquet")):
        kind, name = file.relative_to(SAMPLE).parts[:2]
        target = folder / kind / (BENCHMARK if kind == Kind.BENCHMARK else name) / file.name
        target.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pq.read_table(file).slice(0, ROWS), target, row_group_size=5)


def run_all(pipeline: Pipeline) -> None:
    color = other_model("color")
    assert pipeline.run(BENCHMARK, kind=Kind.BENCHMARK, sscd=color).failures == {}
    for name in SUBSETS:
        assert pipeline.run(name, sscd=color).failures == {}
    assert pipeline.publish().failures == {}


def published(settings: Settings) -> dict[str, list[tuple[Any, ...]]]:
    """Return all rows of all published tables and views, without `meta`, `history` and columns that may differ."""
    with duckdb.connect(settings.warehouse_path, read_only=True) as connection:
        columns = connection.execute(
            "SELECT table_name, column_name FROM duckdb_columns() "
            "WHERE NOT internal AND table_name NOT IN ('meta', 'history') ORDER BY table_name, column_index"
        ).fetchall()
        tables: dict[str, list[str]] = {}
        for table, column in columns:
            if column not in MAY_DIFFER:
                tables.setdefault(table, []).append(f'"{column}"')
        return {
            table: connection.execute(f'SELECT {", ".join(names)} FROM "{table}" ORDER BY ALL').fetchall()
            for table, names in tables.items()
        }


def digests(pipeline: Pipeline) -> dict[tuple[str, str], str]:
    """Return the digest of every partition of the lake, without the history of publications."""
    lake = pipeline.lake
    return {
        (table, partition): lake.require(table, partition).digest
        for table in set(lake.tables()) - {LakeTable.PUBLICATIONS}
        for partition in lake.partitions(table)
    }


@pytest.mark.nightly
def test_a_hub_with_20_percent_failures_gives_the_same_tables(server: HubServer, tmp_path: Path) -> None:
    write_small_sample(tmp_path / "folder")
    server.add("HuggingFaceM4/FineVision", {"README.md": b"x", **folder_files(tmp_path / "folder" / "subsets")})
    server.add("lmms-lab/clipart", folder_files(tmp_path / "folder" / "benchmarks" / BENCHMARK))
    server.faulty, server.faults, server.random = 0.2, FAULTS, random.Random(1)
    of_hub = hub_settings(tmp_path)
    of_folder = of_hub.model_copy(update={"source": str(tmp_path / "folder"), "data": str(tmp_path / "from_folder")})
    pipelines = []
    for settings in (of_hub, of_folder):
        with dg.DagsterInstance.ephemeral() as instance:
            add_missing_keys(instance, open_source(settings))
            assert set(instance.get_dynamic_partitions("subset")) == set(SUBSETS)
            assert instance.get_dynamic_partitions(str(PARTITIONS[Kind.BENCHMARK].name)) == [BENCHMARK]
            pipelines.append(Pipeline(settings, instance))
            run_all(pipelines[-1])
    assert server.failed.total() >= 6
    assert len(server.failed) >= 3
    hub, folder = pipelines
    assert digests(hub) == digests(folder)
    assert len({table for table, _ in digests(hub)}) >= 12
    found = published(of_hub)
    assert found == published(of_folder)
    assert all(found[table] for table in ("subsets", "images", "close_pairs", "contamination_rates", "diversity"))
    files = len(list((tmp_path / "folder").rglob("*.parquet")))
    kept = [path.name for path in (tmp_path / "from_hub" / "downloads" / "files").iterdir()]
    assert sorted(path.partition("-")[0] for path in kept) == ["sha256"] * files


def test_a_run_asks_the_hub_for_its_commit_once(server: HubServer, tmp_path: Path) -> None:
    write_small_sample(tmp_path / "folder")
    server.add("HuggingFaceM4/FineVision", folder_files(tmp_path / "folder" / "subsets"))
    with dg.DagsterInstance.ephemeral() as instance:
        pipeline = Pipeline(hub_settings(tmp_path), instance)
        ran = pipeline.run(
            SUBSETS[0],
            only=["subset_images", "subset_turns", "quality_rows", "sscd_embeddings"],
            sscd=other_model("color"),
        )
    assert ran.failures == {}
    assert ran.materialized == {"subset_images", "subset_turns", "quality_rows", "sscd_embeddings"}
    assert server.requests["/api/datasets/HuggingFaceM4/FineVision"] == 1
    assert server.asked("/tree/") == 1


def test_what_the_hub_refuses_is_one_line_of_the_run(server: HubServer, tmp_path: Path) -> None:
    server.add("HuggingFaceM4/FineVision", {"some/train-0.parquet": b"x"}).gated = True
    with dg.DagsterInstance.ephemeral() as instance:
        ran = Pipeline(hub_settings(tmp_path), instance).run("some", only=["subset_images"])
    assert (ran.failures["subset_pass"] or "").startswith(f"{URI} is gated: accept its terms at http://127.0.0.1")


def parquet(columns: dict[str, Any]) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


@pytest.mark.nightly
@pytest.mark.parametrize("place", ["hub", "folder"])
def test_any_data_set_with_images_goes_through_every_stage(server: HubServer, tmp_path: Path, place: str) -> None:
    images = [{"bytes": image(seed), "path": f"{seed}.png"} for seed in (1, 2, 3, 1)]
    files = {
        "alone/train-00000-of-00001.parquet": parquet({"image": images}),
        "captioned/train/0000.parquet": parquet({"image": images, "caption": ["a", "b", "c", "d"], "texts": [1] * 4}),
        "captioned/test/0000.parquet": parquet({"image": images}),
    }
    settings = hub_settings(tmp_path).model_copy(update={"benchmark_list": "none"})
    if place == "hub":
        server.add("HuggingFaceM4/FineVision", files)
    else:
        del files["captioned/test/0000.parquet"]
        for path, data in files.items():
            file = tmp_path / "folder" / "subsets" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
        settings = settings.model_copy(update={"source": str(tmp_path / "folder")})
    with dg.DagsterInstance.ephemeral() as instance:
        pipeline = Pipeline(settings, instance)
        for name in ("alone", "captioned"):
            assert pipeline.run(name, sscd=other_model("color")).failures == {}
        assert pipeline.publish().failures == {}
    assert pipeline.query('SELECT subset, "rows", images, images_unique FROM subsets ORDER BY subset') == [
        ("alone", 4, 4, 3),
        ("captioned", 4, 4, 3),
    ]


def test_what_was_published_stands_beside_what_is_there(server: HubServer, tmp_path: Path) -> None:
    row = {"image": [{"bytes": image(1), "path": None}] * 3}
    server.add("HuggingFaceM4/FineVision", {f"{name}/train-0.parquet": parquet(row) for name in ("tqa", "another")})
    with dg.DagsterInstance.ephemeral() as instance:
        pipeline = Pipeline(hub_settings(tmp_path), instance)
        found = {
            name: pipeline.run(name, only=["subset_images"]).metadata("subset_images") for name in ("tqa", "another")
        }
    ours = found["tqa"]
    assert ours["published_rows"] > 3
    assert ours["rows_beyond_published"] == 3 - ours["published_rows"]
    assert ours["images_beyond_published"] == 3 - ours["published_images"]
    assert not [key for key in found["another"] if "published" in key]
